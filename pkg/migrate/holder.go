package migrate

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/notify"
)

// Holder is a session that holds the wake-up lock, as a sidecar and a Watch do while they wait for a notification.
type Holder struct {
	PID         int
	Role        string
	Application string // application_name, which a session chooses freely
	// Foreign is true where the role has no USAGE of the schema. Such a session can be neither a sidecar nor a Watch, and
	// keeps both from the lock, so that they read on a timer. The database cannot tell a session of any other role from them.
	Foreign bool
}

// String describes the session, and the remedy for a foreign one.
func (h Holder) String() string {
	session := fmt.Sprintf("pid %d (role %s, application %q)", h.PID, h.Role, h.Application)
	if !h.Foreign {
		return "the wake-up lock is held by " + session
	}
	return fmt.Sprintf("the wake-up lock is held by %s, which may not use the schema, so that sidecars read on a timer; "+
		"end it with: select pg_terminate_backend(%d), and revoke CONNECT from the role", session, h.PID)
}

// Holders returns the sessions that hold the wake-up lock of an installed schema. Writers hold it for moments.
func Holders(ctx context.Context, conn *pgx.Conn, opts *Options) ([]Holder, error) {
	s, err := load(opts)
	if err != nil {
		return nil, err
	}
	found, err := notify.Holders(ctx, conn, s.name)
	holders := make([]Holder, len(found))
	for i, h := range found {
		holders[i] = Holder(h)
	}
	return holders, err
}
