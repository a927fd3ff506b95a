// Package client tracks long-running work (agents, jobs) in Postgres, from Go.
//
// An activity is created, gets log lines while it runs, and ends:
//
//	c := client.New(pool)
//	id, err := c.Create(ctx, "research", "")
//	_, err = c.Update(ctx, id, "Reading sources", client.WithStatus(client.StatusRunning), client.WithPercentage(10))
//	_, err = c.Complete(ctx, id, "")
//
// [Client.Run] does that for a worker, sends its heartbeats, receives requests to cancel, and stores its output as lines:
//
//	err := c.Run(ctx, client.RunParams{TaskName: "research"}, func(ctx context.Context, run *client.Run) error {
//		run.Logger().Info("Reading sources", "count", 12) // a line, with data
//		return research(ctx, run.Writer())                // ctx ends when a cancel is requested
//	})
//
// Other programs read it:
//
//	for line, err := range c.Watch(ctx, id, 0) { ... } // every line, live
//	page, err := c.List(ctx, client.ListParams{})      // RUNNING first, then QUEUED, then finished
//
// Every rule (the state machine, the numbering of lines, bounds, paging, the JSON) is in Postgres, in the functions that
// agentexec installs there; this package calls them and returns their results. So it agrees with writers in any other
// language, and a function called in a transaction (see [Client.WithTx]) is part of it.
//
// The Seq of a line counts from 1 within its activity, without gaps. To resume, pass the last one seen to [Client.Watch],
// [Client.Logs] or [DetailParams].
//
// The package works with any QueryExecMode of pgx, with an empty search_path, and through a pooler in transaction mode
// (there with QueryExecModeExec or QueryExecModeSimpleProtocol, and [Config.PollOnly] for Watch and Run).
//
// Of this module, it imports internal/notify, internal/backoff and the packages below pkg/client/internal.
package client
