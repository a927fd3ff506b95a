package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/internal/logline"
	"github.com/agentexec/agentexec/internal/notify"
	"github.com/agentexec/agentexec/pkg/client/internal/keepalive"
)

// RunParams describe the activity of a Run. The zero value of each field but TaskName selects its default.
type RunParams struct {
	// TaskName is the task name of an activity that Run creates, 1 to 255 characters. An existing activity keeps its own.
	TaskName string
	// AgentID is the activity to take over, or the agent_id of the one to create. The zero value creates one with a random id.
	AgentID uuid.UUID
	// Metadata is stored with an activity that Run creates, as with WithMetadata.
	Metadata map[string]any
	// ParentAgentID is the parent of an activity that Run creates, as with WithParent. The zero value creates a root.
	ParentAgentID uuid.UUID
	// Message is the message of the line that makes the activity RUNNING. Default "Agent started".
	Message string
	// ExpectEvery is the promise of the worker, 1 s to 1 day: the activity is stale when there was no heartbeat and no line for
	// longer. Run sends a heartbeat after each third of it. Default 60 s.
	ExpectEvery time.Duration
	// EndTimeout bounds how long Run tries to store the last lines and the end of the activity after work has ended, also
	// while Postgres cannot be reached. Default 30 s.
	EndTimeout time.Duration
	// LogLevel is the least level of the records that Run.Logger stores. Default slog.LevelInfo.
	LogLevel slog.Leveler
}

func (p RunParams) withDefaults() RunParams {
	if p.Message == "" {
		p.Message = "Agent started"
	}
	if p.ExpectEvery == 0 {
		p.ExpectEvery = time.Minute
	}
	if p.EndTimeout <= 0 {
		p.EndTimeout = 30 * time.Second
	}
	if p.LogLevel == nil {
		p.LogLevel = slog.LevelInfo
	}
	return p
}

// Run is one attempt of an activity while [Client.Run] executes it. Its methods may be called from any goroutine. After
// Client.Run has returned, they store nothing.
type Run struct {
	c       *Client
	pool    *pgxpool.Pool
	params  RunParams
	id      uuid.UUID
	attempt int

	parent   context.Context // of Client.Run
	ctx      context.Context // of the work
	stop     context.CancelCauseFunc
	canceled atomic.Bool // a cancel was requested, or the activity is CANCELED

	writer  *runWriter
	text    *logline.Writer
	leave   func()           // ends the heartbeats
	answers notify.Broadcast // a question of the activity may have been closed
	end     ending           // set when the work has ended
}

// AgentID returns the agent_id of the activity.
func (r *Run) AgentID() uuid.UUID { return r.id }

// Attempt returns the attempt of the activity, from 1.
func (r *Run) Attempt() int { return r.attempt }

// Run creates an activity or takes over an existing one, and makes it RUNNING. It then calls work on the same goroutine, and
// ends the activity according to how work ends:
//
//   - work returns nil: COMPLETE, at 100 percent,
//   - work returns an error after a cancel was requested: CANCELED,
//   - work returns an error after ctx has ended: ERROR, with data.interrupted = true,
//   - work returns another error: ERROR, with the error's text as message,
//   - work panics: ERROR, with the stack in data.stack, and then Run panics with the same value. runtime.Goexit is an ERROR too.
//
// The context of work ends with ctx, and when the activity must not go on. context.Cause then returns ErrCanceled (a cancel
// was requested, or the activity is CANCELED), ErrFinished (another program ended it), ErrReplaced (another worker took it
// over) or ErrNotFound (it was deleted). Run listens for requests to cancel, so one arrives within moments. With
// Config.PollOnly, or while Postgres cannot be reached, Run learns of a request from its next heartbeat or line.
//
// With an AgentID, a QUEUED or ERROR activity is taken over; of several workers that try, one succeeds. An unknown AgentID
// is created if there is a TaskName, otherwise Run returns ErrNotFound. Run returns ErrRunning when the activity is RUNNING,
// even when it is stale: end it first, with Error, when its worker is gone. It returns ErrFinished when the activity is
// COMPLETE or CANCELED, or when it is ERROR and a cancel was requested. work is not called then.
//
// Lines of Logger, Writer, Log and Progress go through one buffer, in order. It is sent every 50 ms, with 256 lines or with
// 256 KiB. While Postgres cannot be reached, Run tries again; a batch whose answer was lost is not stored twice. When the
// process dies, the last lines may be lost, but never lines before stored ones. A full buffer (3 MiB) blocks its caller
// until there is room, or the context of work ends; from then on lines are dropped, and data.dropped_lines of the last line
// counts them. Other programs may write to the same activity. If one of them writes a line with the same message, percentage
// and data at the same moment, only one of the two lines is stored.
//
// Heartbeats have a connection of their own, so a long transaction of work does not delay them. Run needs a client on a
// *pgxpool.Pool and returns ErrInvalid for any other. It opens one connection beside the pool, for the heartbeats and cancel
// requests of all runs on the same pool and schema, so a pool of one connection is enough. Lines are sent through the pool;
// while the pool has no free connection, runs open others, at most four in a process, one for each batch. A transaction of work that has written to its activity
// holds back the lines of Run, so it must not wait for them (Flush).
//
// Run returns nil when the activity is COMPLETE, and the error of work otherwise. The error wraps ErrCanceled when the activity
// is CANCELED. If the end could not be stored (Postgres was not reached within EndTimeout, or another program ended the
// activity), that error is joined to it.
//
// An existing AgentID needs the right to read activities; for a new one, the right to execute the functions is enough.
func (c *Client) Run(ctx context.Context, params RunParams, work func(ctx context.Context, run *Run) error) (err error) {
	r, err := c.startRun(ctx, params)
	if err != nil {
		return err
	}
	returned := false
	defer func() {
		var thrown any
		if !returned {
			thrown = recover()
			err = nil
			r.end = endOfPanic(thrown, debug.Stack())
		} else {
			if r.end, thrown = r.endOfReturn(err); thrown != nil {
				err = nil
			}
		}
		err = r.finish(err)
		if thrown != nil {
			panic(thrown)
		}
	}()
	err = work(r.ctx, r)
	returned = true
	return err
}

// startRun makes the activity RUNNING, and starts the writer and the heartbeats of the run.
func (c *Client) startRun(ctx context.Context, params RunParams) (*Run, error) {
	pool, ok := c.db.(*pgxpool.Pool)
	if !ok {
		return nil, invalid("Run needs a client on a *pgxpool.Pool, because heartbeats and lines use connections of their own")
	}
	r := &Run{c: c, pool: pool, params: params.withDefaults(), parent: ctx}
	line, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	r.attempt = line.Attempt
	r.ctx, r.stop = context.WithCancelCause(ctx)
	r.writer = newRunWriter(r, line.Seq)
	r.text = logline.NewWriter(r.ctx, r.writer.Add)
	r.leave = keepalive.Join(keepalive.Group{Pool: pool, Schema: c.config.Schema, PollOnly: c.config.PollOnly},
		&keepalive.Member{ID: r.id, Every: r.every(), Beat: r.beat, Answered: r.answers.Send})
	return r, nil
}

// maxBegins bounds how often begin tries again because another program was faster.
const maxBegins = 10

// begin creates or takes over the activity, and returns the line that makes it RUNNING.
func (r *Run) begin(ctx context.Context) (line Log, err error) {
	if r.params.AgentID == uuid.Nil {
		r.id = uuid.New()
		return r.beginAt(ctx, 2, true)
	}
	r.id = r.params.AgentID
	for try := 1; ; try++ {
		activity, err := r.c.Detail(ctx, r.id, DetailParams{LogLimit: new(0)})
		switch {
		case errors.Is(err, ErrNotFound) && r.params.TaskName != "":
			line, err = r.beginAt(ctx, 2, true)
		case err != nil:
			return Log{}, err
		case activity.Status == StatusRunning:
			return Log{}, fmt.Errorf("%w: %s", ErrRunning, r.id)
		default:
			line, err = r.beginAt(ctx, activity.LastSeq+1, false)
		}
		if err == nil || try == maxBegins || !isMoved(err) && !errors.Is(err, ErrExists) {
			return line, err
		}
	}
}

// beginAt writes the line that makes the activity RUNNING, as line seq, and the first heartbeat. Both are in one transaction, so
// the activity becomes stale also when its worker dies right after. data.run makes the line differ from that of another worker.
func (r *Run) beginAt(ctx context.Context, seq int, create bool) (line Log, err error) {
	line, err = r.commitBegin(ctx, seq, create)
	if known := (*DBError)(nil); err != nil && !errors.As(err, &known) {
		err = dbError("begin a run", err)
	}
	return line, err
}

// commitBegin is the transaction of beginAt. When ctx ends, it is rolled back; but a commit that is under way is awaited, because
// it may be done in spite of that, and the activity would stay RUNNING without a run.
func (r *Run) commitBegin(ctx context.Context, seq int, create bool) (line Log, err error) {
	tx, err := r.pool.Begin(ctx)
	if err != nil {
		return Log{}, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	in := r.c.WithTx(tx)
	if create {
		opts := []CreateOption{WithAgentID(r.id), WithMetadata(r.params.Metadata)}
		if r.params.ParentAgentID != uuid.Nil {
			opts = append(opts, WithParent(r.params.ParentAgentID))
		}
		_, err := in.Create(ctx, r.params.TaskName, "", opts...)
		if err != nil {
			return Log{}, err
		}
	}
	line, err = in.Update(ctx, r.id, r.params.Message, WithStatus(StatusRunning), WithAtSeq(seq), WithData(map[string]any{"run": uuid.New()}))
	if err != nil {
		return Log{}, err
	}
	if _, err = in.Heartbeat(ctx, r.id, r.params.ExpectEvery); err != nil {
		return Log{}, err
	}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.params.EndTimeout)
	defer cancel()
	return line, tx.Commit(detached)
}

// note takes the state of the activity from an answer of Postgres, and ends the context of work if the activity must not go
// on. It reports whether another worker has the activity.
func (r *Run) note(status Status, attempt int, requested bool, message string) (lost bool) {
	switch {
	case attempt != r.attempt || status == StatusQueued:
		r.stop(replaced(status, attempt))
		return true
	case requested || status == StatusCanceled:
		r.canceled.Store(true)
		cause := ErrCanceled
		if message != "" {
			cause = fmt.Errorf("%w: %s", ErrCanceled, message)
		}
		r.stop(cause)
	case status.IsFinished():
		r.stop(fmt.Errorf("%w: it is %s", ErrFinished, status))
	}
	return false
}

// beat sends one heartbeat. It returns an error when the connection is broken.
func (r *Run) beat(ctx context.Context, conn *pgx.Conn) error {
	in := *r.c
	in.db = conn
	state, err := in.Heartbeat(ctx, r.id, 0) // 0 keeps the promise: a worker that took over has made its own
	switch {
	case errors.Is(err, ErrNotFound):
		r.writer.fail(err)
		r.stop(err)
	case err == nil && r.note(state.Status, state.Attempt, state.CancelRequested, state.CancelMessage):
		r.writer.fail(replaced(state.Status, state.Attempt))
	case err != nil && (conn.IsClosed() || sqlState(err) == "" || strings.HasPrefix(sqlState(err), "57P")):
		return err
	}
	return nil
}

// replaced returns the error of a run whose activity another worker brought into this state.
func replaced(status Status, attempt int) error {
	return fmt.Errorf("%w: it is %s, in attempt %d", ErrReplaced, status, attempt)
}

// every returns the time between two heartbeats.
func (r *Run) every() time.Duration { return r.params.ExpectEvery / 3 }
