package sidecar

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgxlisten"
)

// bell is the one thing a notification does: it says that there may be something to read.
type bell struct {
	rung chan struct{} // holds at most one ring; however often it rings, one read answers
	ears atomic.Bool   // what is sent on the channel arrives here
	// crowded: the notification queue fills up, so nobody may be made to ring: when it is full, their commits fail.
	crowded atomic.Bool
	wakeups atomic.Int64  // heard in all
	queue   atomic.Uint64 // the share of the notification queue that is full, as math.Float64bits has it
}

func newBell() *bell {
	b := &bell{rung: make(chan struct{}, 1)}
	b.queue.Store(math.Float64bits(-1))
	return b
}

// usage is the share of the notification queue that is full, negative before it is known.
func (b *bell) usage() float64 { return math.Float64frombits(b.queue.Load()) }

func (b *bell) ring() {
	select {
	case b.rung <- struct{}{}:
	default:
	}
}

func (b *bell) hearing() bool { return b.ears.Load() }

// listenPause is pgxlisten's own pause before it connects again; connectLater adds one that grows.
const listenPause = 10 * time.Millisecond

// listener hears the channel on a connection of its own and rings the bell, nothing more: a handler that took its
// time would keep the session from reading, and its backend from releasing what vacuum waits for. Whether it really
// hears is checked by its pulse (pulse.go).
type listener struct {
	channel string
	connect func(context.Context) (*pgx.Conn, error)
	bell    *bell
	log     *slog.Logger
	metrics *metrics
	pulse   *pulse

	attempt int  // since LISTEN last stood
	told    bool // that it does not stand
	mu      sync.Mutex
	conn    *pgx.Conn // the one on which LISTEN stands; nil while none does
}

func (l *listener) run(ctx context.Context) error {
	pl := &pgxlisten.Listener{
		Connect:        l.connectLater,
		ReconnectDelay: listenPause,
		LogError: func(_ context.Context, err error) {
			l.stands(nil)
			l.bell.ears.Store(false)
			if !l.told && ctx.Err() == nil {
				l.told = true
				l.log.Warn("LISTEN does not stand; reading on a timer meanwhile", "error", err)
			}
		},
	}
	pl.Handle(l.channel, l)
	var pulse sync.WaitGroup
	pulse.Go(func() { l.pulse.run(ctx, l) })
	_ = pl.Listen(ctx) // it ends with ctx only
	pulse.Wait()
	l.bell.ears.Store(false)
	return nil
}

// connectLater connects at once the first time, then after a growing, jittered delay.
func (l *listener) connectLater(ctx context.Context) (*pgx.Conn, error) {
	if l.attempt++; l.attempt > 1 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(reconnectDelay(l.attempt - 2)):
		}
	}
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	// pgxlisten will LISTEN again, which costs nothing, but this one has an end.
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{l.channel}.Sanitize()); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// HandleBacklog implements pgxlisten.BacklogHandler: LISTEN stands now, and what came before it is there to be read.
func (l *listener) HandleBacklog(_ context.Context, _ string, conn *pgx.Conn) error {
	l.attempt, l.told = 1, false
	l.stands(conn)
	l.pulse.begin()
	return nil
}

// HandleNotification implements pgxlisten.Handler. The bell has no payload; a pulse has, and only its sender cares.
func (l *listener) HandleNotification(_ context.Context, n *pgconn.Notification, _ *pgx.Conn) error {
	switch n.Payload {
	case "":
		l.metrics.rings.Inc()
		l.bell.wakeups.Add(1)
		l.bell.ring()
	case l.pulse.id:
		l.pulse.heard()
		if !l.bell.ears.Swap(true) {
			l.bell.ring() // whatever was written while nothing was heard
		}
	}
	return nil
}

func (l *listener) stands(conn *pgx.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
}

func (l *listener) standing() *pgx.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// hangUp breaks conn, so that pgxlisten makes a new one.
func (l *listener) hangUp(conn *pgx.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == conn {
		l.conn = nil
		_ = conn.PgConn().Conn().Close()
	}
}

// state is "hearing"; "polling" where LISTEN has never worked, or nobody may be made to ring; or "deaf".
func (l *listener) state() string {
	switch {
	case l.bell.hearing():
		return "hearing"
	case l.pulse.hopeless.Load(), l.bell.crowded.Load():
		return "polling"
	default:
		return "deaf"
	}
}
