package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// CoordinatorName is the agent_type of the coordinators' activities. Those of the agents are their children.
const CoordinatorName = "hash-directory"

// coordinators divide the work into rounds. Each round is an activity with a number of parts, which are its children. It ends when
// its parts have ended and its question, if it asks one, is closed.
type coordinators struct {
	config Config
	tree   *tree
	wishes *wishes
	ctx    context.Context //nolint:containedctx // that of Run, which waits for running

	running sync.WaitGroup

	mu      sync.Mutex
	current *round
}

// round is the activity of one coordinator.
type round struct {
	id       uuid.UUID
	planned  int
	left     int           // parts that no agent has taken; guarded by coordinators.mu
	created  chan struct{} // closed when the activity exists, or will never exist
	finished chan string   // the parts that ended; it has room for all
	ended    context.Context
}

// take returns a part, the round it belongs to and a function that ends it, or false where there is none at the moment.
func (c *coordinators) take() (part, *round, func(), bool) {
	p, giveBack, ok := c.tree.take()
	if !ok {
		return part{}, nil, nil, false
	}
	r := c.roundWithPart()
	<-r.created
	if r.ended.Err() != nil {
		giveBack()
		return part{}, nil, nil, false
	}
	return p, r, func() {
		giveBack()
		r.finished <- c.tree.show(p.path)
	}, true
}

// roundWithPart takes a part of the current round, or of a new one.
func (c *coordinators) roundWithPart() *round {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.current; r == nil || r.left == 0 || r.ended.Err() != nil {
		n := c.wishes.partsOfRound()
		r = &round{id: uuid.New(), planned: n, left: n, created: make(chan struct{}), finished: make(chan string, n)}
		var end context.CancelFunc
		r.ended, end = context.WithCancel(context.WithoutCancel(c.ctx))
		c.current = r
		c.running.Go(func() {
			defer end()
			c.run(r)
		})
	}
	c.current.left--
	return c.current
}

// partCanceled ends a round for the agents where its whole tree was canceled: a part sees that before the coordinator may.
func (c *coordinators) partCanceled(ctx context.Context, r *round) {
	detail, err := c.config.Client.Detail(ctx, r.id, client.DetailParams{LogLimit: new(0)})
	if err != nil || detail.Cancel != nil || detail.Status.IsFinished() {
		c.mu.Lock()
		defer c.mu.Unlock()
		r.left = 0
	}
}

// run runs the activity of a round.
func (c *coordinators) run(r *round) {
	create := sync.OnceFunc(func() { close(r.created) })
	defer create()
	a := &agent{config: c.config, tree: c.tree}
	params := client.RunParams{
		TaskName: CoordinatorName, AgentID: r.id, Metadata: Metadata(), Message: fmt.Sprintf("Divided %s into %s", c.tree.name, count(r.planned, "part")),
		ExpectEvery: expectEvery, EndTimeout: endTimeout,
	}
	err := a.runs(c.ctx, params, func(ctx context.Context, run *client.Run) error {
		create()
		return c.coordinate(ctx, run, r)
	})
	switch {
	case err == nil || hasEnded(err):
	case c.ctx.Err() != nil:
		a.cancel(c.ctx, r.id)
	default:
		c.config.Logger.Warn("a demo coordinator gave up", "agent_id", r.id, "error", err)
	}
}

// coordinate reports the parts that end, and asks a question if it is the turn of one.
func (c *coordinators) coordinate(ctx context.Context, run *client.Run, r *round) error {
	asking, cancel := context.WithCancel(ctx)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	answered := make(chan string, 1)
	q := c.wishes.next()
	if q != nil {
		asked.Go(func() { answered <- c.ask(asking, run, q) })
	} else {
		answered = nil
	}
	// A line at least so often, because an activity without lines for long counts as abandoned.
	reminder := time.NewTicker(c.config.Abandoned / 3)
	defer reminder.Stop()
	for done := 0; done < r.planned || answered != nil; {
		var message string
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case name := <-r.finished:
			done++
			message = fmt.Sprintf("%s is done (%d of %s)", name, done, count(r.planned, "part"))
		case message = <-answered:
			answered = nil
		case <-reminder.C:
			message = fmt.Sprintf("%d of %s are done", done, count(r.planned, "part"))
			if answered != nil {
				message += "; a question waits for an answer"
			}
		}
		if err := run.Log(ctx, message, client.WithPercentage(100*done/r.planned)); err != nil {
			return err
		}
	}
	return nil
}

// ask puts a question to a person, grants the wish that the answer is, and returns a line about the outcome.
func (c *coordinators) ask(ctx context.Context, run *client.Run, q *question) string {
	defer c.wishes.closed()
	answer, err := run.Ask(ctx, client.Question{Key: q.key, Prompt: q.prompt(c.tree.name), Schema: q.schema, ExpiresIn: c.config.AnswerWithin})
	switch {
	case err == nil:
		return c.wishes.grant(q, answer)
	case errors.Is(err, client.ErrExpired):
		return "No answer came in time: it goes on as before"
	case errors.Is(err, client.ErrDeclined):
		return "The question was declined: it goes on as before"
	}
	if ctx.Err() == nil {
		c.config.Logger.Warn("a demo coordinator cannot ask", "agent_id", run.AgentID(), "error", err)
	}
	return "There is no answer: it goes on as before"
}
