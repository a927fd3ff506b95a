package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/agentexec/agentexec/pkg/client"
)

// agent does one activity after another.
type agent struct {
	config Config
	tree   *tree
}

func (a *agent) run(ctx context.Context) {
	for ctx.Err() == nil {
		if p, giveBack, ok := a.tree.take(); ok {
			a.work(ctx, p)
			giveBack()
		}
		_ = wait(ctx, about(a.config.Pause))
	}
}

// work runs one activity from its creation to its end. When the agent is stopped, it cancels the activity.
func (a *agent) work(ctx context.Context, p part) {
	j := &journal{config: a.config}
	err := a.attempts(ctx, j, p)
	switch {
	case ctx.Err() != nil && !j.ended:
		j.cancel(ctx)
	case err != nil && !errors.Is(err, errEnded) && ctx.Err() == nil:
		a.config.Logger.Warn("a demo agent gave up on its part", "agent_id", j.id, "error", err)
	}
}

// attempts does the work. If something cannot be read, it tries once more without that.
func (a *agent) attempts(ctx context.Context, j *journal, p part) error {
	name := a.tree.show(p.path)
	if err := j.open(ctx, "Hash the files of "+name); err != nil {
		return err
	}
	// Simulates the wait for a free worker.
	if err := wait(ctx, about(a.config.Pause/4)); err != nil {
		return err
	}
	if err := j.line(ctx, "Looking through "+name, client.WithStatus(client.StatusRunning)); err != nil {
		return err
	}
	problem, err := a.attempt(ctx, j, p, false)
	if err != nil || problem == nil {
		return err
	}
	where := a.tree.show(problem.path)
	data := map[string]any{"path": where, "error": problem.err.Error()}
	if err := j.fail(ctx, fmt.Sprintf("Cannot read %s: %v", where, problem.err), data); err != nil {
		return err
	}
	if err := wait(ctx, about(a.config.Pause)); err != nil {
		return err
	}
	if err := j.retry(ctx, "Trying again without "+where); err != nil {
		return err
	}
	_, err = a.attempt(ctx, j, p, true)
	return err
}

// attempt reads the part and completes the activity. It ends at the first file or folder that cannot be read and returns it,
// unless skip is set.
func (a *agent) attempt(ctx context.Context, j *journal, p part, skip bool) (*unreadable, error) {
	files, problems, err := a.tree.scan(ctx, p)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 && !skip {
		return &problems[0], nil
	}
	r := newReading(a.config, j, a.tree, files)
	if err := j.line(ctx, "Found "+size(len(files), r.total), client.WithPercentage(0)); err != nil {
		return nil, err
	}
	for _, f := range files {
		err := r.read(ctx, f)
		var refused cannotRead
		switch {
		case errors.As(err, &refused) && !skip:
			return &unreadable{f.path, refused.err}, nil
		case errors.As(err, &refused):
			problems = append(problems, unreadable{f.path, refused.err})
		case err != nil:
			return nil, err
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
	return nil, j.complete(ctx, message, data)
}
