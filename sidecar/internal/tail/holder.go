package tail

import (
	"context"

	"github.com/agentexec/agentexec/internal/notify"
	"github.com/agentexec/agentexec/sidecar/internal/database"
)

// findHolder looks for a foreign session that holds the wake-up lock, and logs it once.
func (t *tailer) findHolder(ctx context.Context, conn *database.Direct) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	holders, err := notify.Holders(ctx, conn, t.schema)
	if err != nil {
		return err
	}
	for _, h := range holders {
		if h.Foreign {
			t.noteHolder(&h)
			return nil
		}
	}
	t.noteHolder(nil)
	return nil
}

func (t *tailer) noteHolder(h *notify.Holder) {
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
