package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/pkg/client"
)

// A worker creates an activity, reports its progress and ends it.
func Example() {
	ctx := context.Background()
	pool, done := exampleDatabase() // pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	defer done()

	c := client.New(pool)
	id, err := c.Create(ctx, "research", "", client.WithMetadata(map[string]any{"org": "1"}))
	if err != nil {
		log.Fatal(err)
	}
	_, err = c.Update(ctx, id, "Reading sources", client.WithStatus(client.StatusRunning), client.WithPercentage(10))
	if err != nil {
		log.Fatal(err)
	}
	last, err := c.Complete(ctx, id, "Report written", client.WithData(map[string]any{"pages": 12}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(last.Seq, last.Status, last.Message, string(last.Data))
	// Output: 3 COMPLETE Report written {"pages": 12}
}

// A worker in one call: its log records and its text become lines, and the result of the function ends the activity.
func ExampleClient_Run() {
	ctx := context.Background()
	pool, done := exampleDatabase()
	defer done()
	c := client.New(pool)

	var id uuid.UUID
	err := c.Run(ctx, client.RunParams{TaskName: "research", ExpectEvery: 30 * time.Second},
		func(ctx context.Context, run *client.Run) error {
			id = run.AgentID()
			run.Logger().Info("Reading sources", "count", 40)
			if err := run.Progress(ctx, 12, 40); err != nil {
				return err
			}
			fmt.Fprintln(run.Writer(), "The report is written")
			return ctx.Err() // ended with cause ErrCanceled when a cancel is requested
		})
	if err != nil {
		log.Fatal(err)
	}
	for line, err := range c.Logs(ctx, id, 1) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(line.Seq, line.Status, line.Message)
	}
	// Output:
	// 2 RUNNING Agent started
	// 3 RUNNING Reading sources
	// 4 RUNNING 12 of 40
	// 5 RUNNING The report is written
	// 6 COMPLETE Agent completed
}

// A worker without Run sends heartbeats with a promise, and learns from them that it is to end.
func ExampleClient_Heartbeat() {
	ctx := context.Background()
	pool, done := exampleDatabase()
	defer done()
	c := client.New(pool)
	id, err := c.Create(ctx, "research", "")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.Update(ctx, id, "Reading sources", client.WithStatus(client.StatusRunning)); err != nil {
		log.Fatal(err)
	}
	if _, err := c.Cancel(ctx, id, "not needed any more"); err != nil { // another program
		log.Fatal(err)
	}

	state, err := c.Heartbeat(ctx, id, 30*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(state.Status, state.CancelRequested, state.CancelMessage)
	// Output: RUNNING true not needed any more
}

// Follow an activity until it ends. Each line comes when it is committed, once and in order.
func ExampleClient_Watch() {
	ctx := context.Background()
	pool, done := exampleDatabase()
	defer done()
	c := client.New(pool)
	id := exampleActivity(ctx, c) // somewhere, a worker is at it

	for line, err := range c.Watch(ctx, id, 0) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(line.Seq, line.Status, line.Message)
	}
	// Output:
	// 1 QUEUED Agent queued
	// 2 RUNNING Reading sources
	// 3 COMPLETE Agent completed
}

// To go on after a break, give the Seq of the last line seen.
func ExampleClient_Watch_resume() {
	ctx := context.Background()
	pool, done := exampleDatabase()
	defer done()
	c := client.New(pool)
	id := exampleActivity(ctx, c)

	seen := 0
	for line, err := range c.Watch(ctx, id, seen) {
		if err != nil {
			log.Fatal(err)
		}
		if seen = line.Seq; seen == 2 {
			break
		}
	}
	for line, err := range c.Watch(ctx, id, seen) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(line.Seq, line.Message)
	}
	// Output: 3 Agent completed
}

// Writes inside a transaction are committed or rolled back with it.
func ExampleClient_WithTx() {
	ctx := context.Background()
	pool, done := exampleDatabase()
	defer done()
	c := client.New(pool)

	var id uuid.UUID
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var err error
		if id, err = c.WithTx(tx).Create(ctx, "import", "Queued with its order"); err != nil {
			return err
		}
		return errors.New("the order was refused")
	})
	fmt.Println(err)
	_, err = c.Detail(ctx, id, client.DetailParams{})
	fmt.Println(errors.Is(err, client.ErrNotFound))
	// Output:
	// the order was refused
	// true
}

// A QUEUED activity is canceled at once. A later line is kept, and its CancelRequested tells the writer; only a change of status
// is refused. A RUNNING activity stays RUNNING until its worker ends it: see Heartbeat and Run.
func ExampleClient_Cancel() {
	ctx := context.Background()
	pool, done := exampleDatabase()
	defer done()
	c := client.New(pool)
	id, err := c.Create(ctx, "research", "")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.Cancel(ctx, id, "not needed any more"); err != nil {
		log.Fatal(err)
	}

	line, err := c.Update(ctx, id, "Reading sources", client.WithPercentage(20))
	if err != nil {
		log.Fatal(err)
	}
	if line.Status.IsFinal() {
		fmt.Println("stopping:", line.Status)
	}
	_, err = c.Complete(ctx, id, "")
	fmt.Println("refused:", errors.Is(err, client.ErrFinished))
	// Output:
	// stopping: CANCELED
	// refused: true
}

// An error says what kind it is, and what Postgres said.
func ExampleDBError() {
	ctx := context.Background()
	pool, done := exampleDatabase()
	defer done()
	c := client.New(pool)
	id := exampleActivity(ctx, c)

	_, err := c.Update(ctx, id, "Almost there", client.WithPercentage(110))
	var dbErr *client.DBError
	if errors.Is(err, client.ErrInvalid) && errors.As(err, &dbErr) {
		fmt.Println(dbErr.Code, dbErr.Message)
	}
	// Output: TA422 percentage must be between 0 and 100, got 110
}

// Walk through all activities of a kind, a page at a time, by key: the thousandth page costs what the first does.
func ExampleClient_List() {
	ctx := context.Background()
	pool, done := exampleDatabase()
	defer done()
	c := client.New(pool)
	for range 3 {
		exampleActivity(ctx, c)
	}

	params := client.ListParams{PageSize: 2, AgentType: "research", Statuses: []client.Status{client.StatusComplete}}
	for {
		page, err := c.List(ctx, params)
		if err != nil {
			log.Fatal(err)
		}
		for _, item := range page.Items {
			fmt.Println(item.AgentType, item.Status, *item.LatestLog)
		}
		if page.Next == nil {
			break
		}
		params.After = *page.Next
	}
	// Output:
	// research COMPLETE Agent completed
	// research COMPLETE Agent completed
	// research COMPLETE Agent completed
}

// The example prints the runs of the last day, and their durations.
func ExampleClient_Stats() {
	ctx := context.Background()
	pool, done := exampleDatabase()
	defer done()
	c := client.New(pool)
	exampleActivity(ctx, c)

	stats, err := c.Stats(ctx, client.StatsParams{Since: client.Ago(24 * time.Hour), Bucket: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range stats.Types {
		fmt.Printf("%s: %d ended, %d failed\n", t.AgentType, t.Ended, t.Error)
	}
	longest, err := c.List(ctx, client.ListParams{Since: client.Ago(24 * time.Hour), Sort: client.SortDuration, PageSize: 10})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(longest.Items), longest.Items[0].Status)
	// Output:
	// research: 1 ended, 0 failed
	// 1 COMPLETE
}

// The state of an activity, with its last lines only.
func ExampleClient_Detail() {
	ctx := context.Background()
	pool, done := exampleDatabase()
	defer done()
	c := client.New(pool)
	id := exampleActivity(ctx, c)

	activity, err := c.Detail(ctx, id, client.DetailParams{AfterSeq: 2})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(activity.Status, *activity.LatestPercentage, activity.LastSeq)
	for _, line := range activity.Logs {
		fmt.Println(line.Seq, line.Message)
	}
	// Output:
	// COMPLETE 100 3
	// 3 Agent completed
}

// Many lines in one call.
func ExampleClient_AppendLogs() {
	ctx := context.Background()
	pool, done := exampleDatabase()
	defer done()
	c := client.New(pool)
	id, err := c.Create(ctx, "index", "")
	if err != nil {
		log.Fatal(err)
	}

	results, err := c.AppendLogs(ctx, []client.Entry{
		{AgentID: id, Message: "Started", Status: client.StatusRunning},
		{AgentID: id, Message: "Half of it", Percentage: new(50)},
		{AgentID: id, Message: "All of it", Percentage: new(100), Status: client.StatusComplete},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(results[0].Status, results[0].LastSeq)
	// Output: COMPLETE 4
}

// At the start of a program, cancel what its last run left behind: its own kind only, and only what is quiet.
func ExampleClient_CancelPending() {
	ctx := context.Background()
	pool, done := exampleDatabase()
	defer done()
	c := client.New(pool)
	if _, err := c.Create(ctx, "research", ""); err != nil {
		log.Fatal(err)
	}

	for _, idle := range []time.Duration{time.Hour, 0} {
		n, err := c.CancelPending(ctx, client.CancelPendingParams{
			AgentType: "research", IdleFor: idle, Message: "Its program was restarted",
		})
		fmt.Println(n, err)
	}
	// Output:
	// 0 <nil>
	// 1 <nil>
}
