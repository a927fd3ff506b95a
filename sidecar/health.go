package sidecar

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// feedHealth is the state of the live feed at one moment. /readyz and /metrics tell it.
type feedHealth struct {
	tail     bool          // the tail's session works, and its last successful read is recent
	tailAge  time.Duration // since the tail's last successful read; maximal before the first
	listener string        // "healthy", "polling", "unhealthy", or "off"
	// holder is the session that holds the wake-up lock though its role has no right to the schema; nil where there is
	// none. Meanwhile the tail polls.
	holder *lockHolder
	// queueUsage is the share of the notification queue that is full, 0 to 1; negative before the first probe.
	queueUsage float64
}

// lockHolder is a session of Postgres that holds the wake-up lock.
type lockHolder struct {
	PID         int    `json:"pid"`
	Role        string `json:"role"`
	Application string `json:"application"` // application_name, which a session chooses freely
}

// feedHealth returns the state of the live feed. It asks Postgres nothing.
func (s *Server) feedHealth() feedHealth {
	h := feedHealth{
		tail: s.tailer.works(), tailAge: s.tailer.age(), listener: "off",
		holder: s.tailer.foreign.Load(), queueUsage: s.wakeup.usage(),
	}
	if !s.cfg.PollOnly {
		h.listener = s.listener.state()
	}
	return h
}

// age is the time since the last successful read.
func (t *tailer) age() time.Duration {
	at := t.lastRead.Load()
	if at == 0 {
		return math.MaxInt64
	}
	return time.Since(time.Unix(0, at))
}

// findHolder looks for a foreign session that holds the wake-up lock. It is logged once.
func (t *tailer) findHolder(ctx context.Context, conn *tailConn) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var h lockHolder
	err := conn.QueryRow(ctx, t.q.holder).Scan(&h.PID, &h.Role, &h.Application)
	if errors.Is(err, pgx.ErrNoRows) {
		t.noteHolder(nil)
		return nil
	}
	if err == nil {
		t.noteHolder(&h)
	}
	return err
}

func (t *tailer) noteHolder(h *lockHolder) {
	before := t.foreign.Swap(h)
	switch {
	case h == nil:
		t.metrics.foreignLock.Set(0)
		if before != nil {
			t.log.Info("the foreign session released the wake-up lock", "pid", before.PID)
		}
	case before == nil || *before != *h:
		t.metrics.foreignLock.Set(1)
		t.log.Warn("a session of a role without rights to the schema holds the wake-up lock; the sidecar polls meanwhile. "+
			"Revoke CONNECT from the role, or end the session with pg_terminate_backend",
			"pid", h.PID, "role", h.Role, "application", h.Application)
	}
}
