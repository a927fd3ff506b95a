package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

const (
	// expectEvery is the promise of an agent: it sends a heartbeat or a line at least that often.
	expectEvery = 15 * time.Second
	// endTimeout bounds how long an agent tries to store the end of its activity, also when it is stopped.
	endTimeout = 5 * time.Second
)

// agent does one activity after another.
type agent struct {
	config       Config
	tree         *tree
	coordinators *coordinators
}

func (a *agent) run(ctx context.Context) {
	for ctx.Err() == nil {
		if p, r, end, ok := a.coordinators.take(); ok {
			a.work(ctx, p, r)
			end()
		}
		_ = wait(ctx, about(a.config.Pause))
	}
}

// work runs one activity from its creation to its end. When the agent is stopped, it cancels the activity.
func (a *agent) work(ctx context.Context, p part, r *round) {
	id := uuid.New()
	err := a.attempts(ctx, id, p, r)
	switch {
	case err == nil:
	case hasEnded(err):
		a.coordinators.partCanceled(ctx, r)
	case ctx.Err() != nil:
		a.cancel(ctx, id)
	default:
		a.config.Logger.Warn("a demo agent gave up on its part", "agent_id", id, "error", err)
	}
}

// attempts does the work. If something cannot be read, it tries once more without that.
func (a *agent) attempts(ctx context.Context, id uuid.UUID, p part, r *round) error {
	name := a.tree.show(p.path)
	if err := a.create(ctx, id, TaskName, "Hash the files of "+name, client.WithParent(r.id)); err != nil {
		return err
	}
	// Simulates the wait for a free worker.
	if err := wait(ctx, about(a.config.Pause/4)); err != nil {
		return err
	}
	err := a.attempt(ctx, id, "Looking through "+name, p, false)
	var problem *problem
	if hasEnded(err) || !errors.As(err, &problem) {
		return err
	}
	if err := wait(ctx, about(a.config.Pause)); err != nil {
		return err
	}
	return a.attempt(ctx, id, "Trying again without "+problem.path, p, true)
}

// create creates an activity as QUEUED.
func (a *agent) create(ctx context.Context, id uuid.UUID, task, message string, opts ...client.CreateOption) error {
	return a.persist(ctx, func() error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// Not ended by ctx: the server may create it in spite of that, after cancel has found nothing.
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer done()
		_, err := a.config.Client.Create(ctx, task, message, append(opts, client.WithAgentID(id), client.WithMetadata(Metadata()))...)
		if errors.Is(err, client.ErrExists) {
			return nil // the answer to an earlier try was lost
		}
		return err
	})
}

// attempt is one run of the activity. A request to cancel ends it at the next file, chunk or pause.
func (a *agent) attempt(ctx context.Context, id uuid.UUID, message string, p part, skip bool) error {
	params := client.RunParams{AgentID: id, Message: message, ExpectEvery: expectEvery, EndTimeout: endTimeout}
	return a.runs(ctx, params, func(ctx context.Context, run *client.Run) error { return a.read(ctx, run, p, skip) })
}

// read reads the part. It ends at the first file or folder that cannot be read and returns it as *problem, unless skip is set.
func (a *agent) read(ctx context.Context, run *client.Run, p part, skip bool) error {
	files, problems, err := a.tree.scan(ctx, p)
	if err != nil {
		return err
	}
	if len(problems) > 0 && !skip {
		return a.problem(problems[0])
	}
	config := a.config
	files, config.Duration = a.coordinators.wishes.apply(files, config.Duration)
	r := newReading(config, run, a.tree, files)
	if err := run.Log(ctx, "Found "+size(len(files), r.total), client.WithPercentage(0)); err != nil {
		return err
	}
	for _, f := range files {
		err := r.read(ctx, f)
		var refused cannotRead
		switch {
		case errors.As(err, &refused) && !skip:
			return a.problem(unreadable{f.path, refused.err})
		case errors.As(err, &refused):
			problems = append(problems, unreadable{f.path, refused.err})
		case err != nil:
			return err
		}
	}
	message := fmt.Sprintf("%s: %s, %s in %s", a.tree.show(p.path), size(r.files, r.bytes), count(int(r.lines), "line"),
		time.Since(r.pace.began).Round(100*time.Millisecond))
	data := r.totals()
	if len(problems) > 0 {
		message += "; could not read " + a.tree.show(problems[0].path)
		if more := len(problems) - 1; more > 0 {
			message += fmt.Sprintf(" and %d more", more)
		}
		data["unreadable"] = len(problems)
	}
	return run.Log(ctx, message, client.WithPercentage(100), client.WithData(data))
}

// problem is the error of an attempt that found a file or folder which cannot be read. Its text is the message of the ERROR line.
type problem struct {
	path string // as it is shown
	err  error
}

func (p *problem) Error() string { return fmt.Sprintf("Cannot read %s: %v", p.path, p.err) }

func (a *agent) problem(u unreadable) error { return &problem{a.tree.show(u.path), u.err} }
