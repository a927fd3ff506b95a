package client

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/internal/backoff"
)

const (
	// minStep and maxStep bound the time for one step of a keepalive: to connect, to listen, or one heartbeat.
	minStep, maxStep = time.Second, 10 * time.Second
	// maxReconnect bounds the growing delay before a keepalive connects again.
	maxReconnect = time.Second
	// cleanUp bounds the end of a connection.
	cleanUp = 5 * time.Second
)

// keepalive sends the heartbeats of all runs on one pool and schema, and receives their requests to cancel. It has one
// connection beside the pool and one goroutine, because a heartbeat waits for no lock. A heartbeat also checks the connection.
// A notification only causes a heartbeat; the answer to that heartbeat tells whether a cancel is requested.
type keepalive struct {
	keepaliveKey
	cancels, answers string // the names of the channels
	cancel           context.CancelFunc
	done             chan struct{}

	mu        sync.Mutex
	due       map[*Run]time.Time // when the next heartbeat of a run is due
	interrupt context.CancelFunc // ends the wait for the next heartbeat
}

type keepaliveKey struct {
	pool     *pgxpool.Pool
	schema   string // plain
	pollOnly bool
}

// keepalives are the ones that have a run.
var (
	keepalives   = map[keepaliveKey]*keepalive{}
	keepalivesMu sync.Mutex
)

// joinKeepalive starts the heartbeats of a run.
func joinKeepalive(r *Run) {
	key := keepaliveKey{r.pool, r.c.config.Schema, r.c.config.PollOnly}
	keepalivesMu.Lock()
	defer keepalivesMu.Unlock()
	k := keepalives[key]
	if k == nil {
		ctx, cancel := context.WithCancel(context.Background())
		k = &keepalive{keepaliveKey: key, cancels: channel(key.schema, "_cancel"), answers: channel(key.schema, "_answer"), cancel: cancel, done: make(chan struct{}),
			due: map[*Run]time.Time{}, interrupt: func() {}}
		keepalives[key] = k
		go k.loop(ctx)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.due[r] = time.Now() // a request may have come before the run was known here
	k.interrupt()
}

// leaveKeepalive ends the heartbeats of a run. With the last run, it returns when the connection is closed.
func leaveKeepalive(r *Run) {
	key := keepaliveKey{r.pool, r.c.config.Schema, r.c.config.PollOnly}
	keepalivesMu.Lock()
	k := keepalives[key]
	k.mu.Lock()
	delete(k.due, r)
	last := len(k.due) == 0
	k.mu.Unlock()
	if last {
		delete(keepalives, key)
		k.cancel()
	}
	keepalivesMu.Unlock()
	if last {
		<-k.done
	}
}

// channel is the channel of _send_cancel or _send_answer in SQL, which cut a long name of a schema to 56 characters.
func channel(schema, suffix string) string {
	if utf8.RuneCountInString(schema) > 56 {
		schema = string([]rune(schema)[:56])
	}
	return schema + suffix
}

// loop connects, and connects again after each failure, until ctx ends.
func (k *keepalive) loop(ctx context.Context) {
	defer close(k.done)
	retry := backoff.Growing{Least: minRetry, Most: maxReconnect}
	for {
		connected, _ := k.serve(ctx) // the error is not reported: without heartbeats the activity becomes stale
		if connected {
			retry.Reset()
		}
		if backoff.Wait(ctx, retry.Next()) != nil {
			return
		}
	}
}

// serve works on one connection until it breaks or ctx ends.
func (k *keepalive) serve(ctx context.Context) (connected bool, err error) {
	step, cancel := context.WithTimeout(ctx, maxStep)
	defer cancel()
	conn, err := dial(step, k.pool)
	if err != nil {
		return false, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if !k.pollOnly { // behind a pooler, the session may be another one for each statement
		// A heartbeat that a crash loses does no harm, because silence counts from the start of the server.
		for _, sql := range []string{"set synchronous_commit = off", "listen " + pgx.Identifier{k.cancels}.Sanitize(), "listen " + pgx.Identifier{k.answers}.Sanitize()} {
			if _, err := conn.Exec(step, sql); err != nil {
				return false, err
			}
		}
	}
	k.setDue(nil) // a request may have come before LISTEN
	k.tellAnswered(nil)
	for {
		next, err := k.beatAll(ctx, conn)
		if err != nil {
			return true, err
		}
		if err := k.wait(ctx, conn, next); err != nil {
			return true, err
		}
	}
}

// setDue makes the heartbeats of an activity due now, nil for all.
func (k *keepalive) setDue(id *uuid.UUID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for r := range k.due {
		if id == nil || r.id == *id {
			k.due[r] = time.Time{}
		}
	}
}

// tellAnswered tells the runs of an activity that one of its questions may have been closed, nil for all.
func (k *keepalive) tellAnswered(id *uuid.UUID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for r := range k.due {
		if id == nil || r.id == *id {
			r.answers.Send()
		}
	}
}

// beatAll sends the heartbeats that are due, and returns when the next one is.
func (k *keepalive) beatAll(ctx context.Context, conn *pgx.Conn) (next time.Time, err error) {
	for {
		r, at := k.first()
		if r == nil || time.Until(at) > 0 {
			return at, nil
		}
		if err := k.beat(ctx, conn, r); err != nil {
			return at, err
		}
	}
}

// first returns the run whose heartbeat is due first.
func (k *keepalive) first() (first *Run, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for r, due := range k.due {
		if first == nil || due.Before(at) {
			first, at = r, due
		}
	}
	return first, at
}

// beat sends one heartbeat. It returns an error when the connection is broken.
func (k *keepalive) beat(ctx context.Context, conn *pgx.Conn, r *Run) error {
	k.mu.Lock()
	if _, ok := k.due[r]; ok {
		k.due[r] = time.Now().Add(r.every())
	}
	k.mu.Unlock()
	step, cancel := context.WithTimeout(ctx, min(max(r.every(), minStep), maxStep))
	defer cancel()
	in := *r.c
	in.db = conn
	state, err := in.Heartbeat(step, r.id, 0) // 0 keeps the promise: a worker that took over has made its own
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

// wait returns at the time of the next heartbeat, or before, when a heartbeat may be due.
func (k *keepalive) wait(ctx context.Context, conn *pgx.Conn, next time.Time) error {
	limited, cancel := context.WithDeadline(ctx, next)
	defer cancel()
	k.mu.Lock()
	k.interrupt = cancel
	for _, due := range k.due {
		if due.Before(next) { // of a run that has just joined
			cancel()
		}
	}
	k.mu.Unlock()
	if k.pollOnly {
		<-limited.Done()
		return ctx.Err()
	}
	n, err := conn.WaitForNotification(limited)
	switch {
	case err == nil:
		id, err := uuid.Parse(n.Payload)
		switch {
		case err != nil:
		case n.Channel == k.answers:
			k.tellAnswered(&id)
		default:
			k.setDue(&id)
		}
		return nil
	case ctx.Err() == nil && limited.Err() != nil && !conn.IsClosed():
		return nil
	}
	return err
}

// dial opens a connection with the settings of the pool, but outside of it, so it also works while the pool has none free.
func dial(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) {
	config := pool.Config()
	config.ConnConfig.OnNotification = nil // it would keep notifications from WaitForNotification
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, err
	}
	if err = prepare(ctx, config, conn); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
		defer cancel()
		return nil, errors.Join(err, conn.Close(closing))
	}
	return conn, nil
}

// prepare does what a pool does with a connection before it hands it out.
func prepare(ctx context.Context, config *pgxpool.Config, conn *pgx.Conn) error {
	if config.AfterConnect != nil {
		if err := config.AfterConnect(ctx, conn); err != nil {
			return err
		}
	}
	usable, err := true, error(nil)
	switch {
	case config.PrepareConn != nil:
		usable, err = config.PrepareConn(ctx, conn)
	case config.BeforeAcquire != nil: //nolint:staticcheck // pools call it as well
		usable = config.BeforeAcquire(ctx, conn) //nolint:staticcheck // as above
	}
	if err == nil && !usable {
		err = errors.New("the pool's hook rejected the connection")
	}
	return err
}
