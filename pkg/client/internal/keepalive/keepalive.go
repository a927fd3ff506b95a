// Package keepalive sends the heartbeats of all runs on one pool and schema, and receives the notifications of requests to cancel and
// of answers. It decides when a heartbeat is due; its Member sends it, and handles the answer.
//
// May import: pkg/client/internal/poolconn, internal/backoff, pgx and google/uuid.
package keepalive

import (
	"context"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/pkg/client/internal/poolconn"
)

const (
	// minStep and maxStep bound the time for one step: to connect, to listen, or one heartbeat.
	minStep, maxStep = time.Second, 10 * time.Second
	// minReconnect and maxReconnect bound the growing delay before it connects again.
	minReconnect, maxReconnect = 50 * time.Millisecond, time.Second
)

// Member is a run that needs heartbeats.
type Member struct {
	// ID is the agent_id of its activity.
	ID uuid.UUID
	// Every is the time between two heartbeats.
	Every time.Duration
	// Beat sends one heartbeat, and returns an error when the connection is broken.
	Beat func(ctx context.Context, conn *pgx.Conn) error
	// Answered is called when a question of the activity may have been closed. It must not wait.
	Answered func()
}

// Group is the place where members share a connection.
type Group struct {
	Pool   *pgxpool.Pool
	Schema string // plain
	// PollOnly omits LISTEN, for a pooler: there, the session may be another one for each statement.
	PollOnly bool
}

// keepalive has the members of a group. It has one connection beside the pool and one goroutine, because a heartbeat waits for no
// lock. A heartbeat also checks the connection. A notification only causes a heartbeat; the answer to that heartbeat tells whether
// a cancel is requested.
type keepalive struct {
	Group
	cancels, answers string // the names of the channels
	cancel           context.CancelFunc
	done             chan struct{}

	mu        sync.Mutex
	due       map[*Member]time.Time // when the next heartbeat of a member is due
	interrupt context.CancelFunc    // ends the wait for the next heartbeat
}

// keepalives are the ones that have a member.
var (
	keepalives   = map[Group]*keepalive{}
	keepalivesMu sync.Mutex
)

// Join starts the heartbeats of a member. leave ends them. With the last member of a group, it returns when the connection is closed.
func Join(group Group, m *Member) (leave func()) {
	keepalivesMu.Lock()
	defer keepalivesMu.Unlock()
	k := keepalives[group]
	if k == nil {
		ctx, cancel := context.WithCancel(context.Background())
		k = &keepalive{Group: group, cancels: channel(group.Schema, "_cancel"), answers: channel(group.Schema, "_answer"), cancel: cancel, done: make(chan struct{}),
			due: map[*Member]time.Time{}, interrupt: func() {}}
		keepalives[group] = k
		go k.loop(ctx)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.due[m] = time.Now() // a request may have come before the member was known here
	k.interrupt()
	return func() { k.leave(m) }
}

// leave ends the heartbeats of a member.
func (k *keepalive) leave(m *Member) {
	keepalivesMu.Lock()
	k.mu.Lock()
	delete(k.due, m)
	last := len(k.due) == 0
	k.mu.Unlock()
	if last {
		delete(keepalives, k.Group)
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
	retry := backoff.Growing{Least: minReconnect, Most: maxReconnect}
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
	conn, err := poolconn.Dial(step, k.Pool)
	if err != nil {
		return false, err
	}
	defer func() { _ = poolconn.Close(ctx, conn) }()
	if !k.PollOnly {
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
	for m := range k.due {
		if id == nil || m.ID == *id {
			k.due[m] = time.Time{}
		}
	}
}

// tellAnswered tells the members of an activity that one of its questions may have been closed, nil for all.
func (k *keepalive) tellAnswered(id *uuid.UUID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for m := range k.due {
		if id == nil || m.ID == *id {
			m.Answered()
		}
	}
}

// beatAll sends the heartbeats that are due, and returns when the next one is.
func (k *keepalive) beatAll(ctx context.Context, conn *pgx.Conn) (next time.Time, err error) {
	for {
		m, at := k.first()
		if m == nil || time.Until(at) > 0 {
			return at, nil
		}
		if err := k.beat(ctx, conn, m); err != nil {
			return at, err
		}
	}
}

// first returns the member whose heartbeat is due first.
func (k *keepalive) first() (first *Member, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for m, due := range k.due {
		if first == nil || due.Before(at) {
			first, at = m, due
		}
	}
	return first, at
}

// beat sends one heartbeat. It returns an error when the connection is broken.
func (k *keepalive) beat(ctx context.Context, conn *pgx.Conn, m *Member) error {
	k.mu.Lock()
	if _, ok := k.due[m]; ok {
		k.due[m] = time.Now().Add(m.Every)
	}
	k.mu.Unlock()
	step, cancel := context.WithTimeout(ctx, min(max(m.Every, minStep), maxStep))
	defer cancel()
	return m.Beat(step, conn)
}

// wait returns at the time of the next heartbeat, or before, when a heartbeat may be due.
func (k *keepalive) wait(ctx context.Context, conn *pgx.Conn, next time.Time) error {
	limited, cancel := context.WithDeadline(ctx, next)
	defer cancel()
	k.mu.Lock()
	k.interrupt = cancel
	for _, due := range k.due {
		if due.Before(next) { // of a member that has just joined
			cancel()
		}
	}
	k.mu.Unlock()
	if k.PollOnly {
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
