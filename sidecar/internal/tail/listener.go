package tail

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgxlisten"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/notify"
	"github.com/agentexec/agentexec/sidecar/internal/database"
)

// wakeup tells the tail that there may be something to read. A notification does nothing else.
type wakeup struct {
	pending notify.Signal
	healthy atomic.Bool // notifications on the channel arrive here
	// queueNearFull: writers must not be made to notify, because a commit that notifies fails when the queue is full.
	queueNearFull atomic.Bool
	received      atomic.Int64 // notifications in all
}

func newWakeup() *wakeup { return &wakeup{pending: notify.NewSignal()} }

// listenPause is pgxlisten's own pause before it connects again; connectLater adds one that grows.
const listenPause = 10 * time.Millisecond

// listener receives the channel's notifications on a connection of its own and sets the wake-up, nothing more: a slow handler
// would keep the session from reading, and its backend from releasing what vacuum waits for. A probe checks that
// notifications really arrive (listen_probe.go).
type listener struct {
	channel string
	connect func(context.Context) (*pgx.Conn, error)
	wakeup  *wakeup
	log     *slog.Logger
	metrics *tailMetrics
	probe   *listenProbe

	attempt int  // since LISTEN last succeeded
	told    bool // that it failed
	mu      sync.Mutex
	conn    *pgx.Conn // the one that listens; nil while none does
}

func (l *listener) run(ctx context.Context) error {
	pl := &pgxlisten.Listener{
		Connect:        l.connectLater,
		ReconnectDelay: listenPause,
		LogError: func(_ context.Context, err error) {
			l.setConn(nil)
			l.wakeup.healthy.Store(false)
			if !l.told && ctx.Err() == nil {
				l.told = true
				l.log.Warn("the listener failed; reading on a timer meanwhile", "error", err)
			}
		},
	}
	pl.Handle(l.channel, l)
	var probing sync.WaitGroup
	probing.Go(func() { l.probe.run(ctx, l) })
	_ = pl.Listen(ctx) // it ends only with ctx
	probing.Wait()
	l.wakeup.healthy.Store(false)
	return nil
}

// connectLater connects at once the first time, then after a growing, jittered delay.
func (l *listener) connectLater(ctx context.Context) (*pgx.Conn, error) {
	if l.attempt++; l.attempt > 1 {
		if err := backoff.Wait(ctx, database.ReconnectDelay(l.attempt-2)); err != nil {
			return nil, err
		}
	}
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	// pgxlisten sends LISTEN again, which costs nothing, but this one has a timeout.
	ctx, cancel := context.WithTimeout(ctx, database.ConnectTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{l.channel}.Sanitize()); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// HandleBacklog implements pgxlisten.BacklogHandler. LISTEN has succeeded, and the lines from before it can be read.
func (l *listener) HandleBacklog(_ context.Context, _ string, conn *pgx.Conn) error {
	l.attempt, l.told = 1, false
	l.setConn(conn)
	l.probe.trigger()
	return nil
}

// HandleNotification implements pgxlisten.Handler. A wake-up has no payload; a probe has one, and only its sender handles it.
func (l *listener) HandleNotification(_ context.Context, n *pgconn.Notification, _ *pgx.Conn) error {
	switch {
	case notify.IsWakeup(n):
		l.metrics.wakeups.Inc()
		l.wakeup.received.Add(1)
		l.wakeup.pending.Set()
	case n.Payload == l.probe.id:
		l.probe.arrived()
		if !l.wakeup.healthy.Swap(true) {
			l.wakeup.pending.Set() // for the lines that were written while the listener was unhealthy
		}
	}
	return nil
}

func (l *listener) setConn(conn *pgx.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
}

func (l *listener) current() *pgx.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// drop breaks conn, so that pgxlisten makes a new one.
func (l *listener) drop(conn *pgx.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == conn {
		l.conn = nil
		_ = conn.PgConn().Conn().Close()
	}
}

// state returns "healthy"; "polling" where LISTEN has never worked, or the notification queue is near full; or "unhealthy".
func (l *listener) state() string {
	switch {
	case l.wakeup.healthy.Load():
		return "healthy"
	case l.probe.unusable.Load(), l.wakeup.queueNearFull.Load():
		return "polling"
	default:
		return "unhealthy"
	}
}
