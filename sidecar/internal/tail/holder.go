package tail

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/sidecar/internal/database"
)

// LockHolder is a session of Postgres that holds the wake-up lock.
type LockHolder struct {
	PID         int    `json:"pid"`
	Role        string `json:"role"`
	Application string `json:"application"` // application_name, which a session chooses freely
}

// findHolder looks for a foreign session that holds the wake-up lock. It is logged once.
func (t *tailer) findHolder(ctx context.Context, conn *database.Direct) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var h LockHolder
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

func (t *tailer) noteHolder(h *LockHolder) {
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
