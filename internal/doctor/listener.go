package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/pgurl"
)

// listenTimeout bounds the round trip of the check's own notification.
const listenTimeout = 5 * time.Second

// checkListener notifies itself on the connection that a sidecar with the same settings would LISTEN on.
func checkListener(ctx context.Context, e *examination) error {
	const advice = "look at what is between here and Postgres: a pooler or proxy that drops notifications; give the sidecar a direct connection with AGENTEXEC_LISTEN_URL"
	conn, err := pgx.ConnectConfig(ctx, e.listen)
	if err != nil {
		e.add(Problem, "the connection for LISTEN cannot be opened: "+err.Error(), "look at AGENTEXEC_LISTEN_URL, or leave it out where the database URL is direct")
		return nil
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	switch pooled, _, err := pgurl.BehindPooler(ctx, conn); {
	case err != nil:
		return err
	case pooled:
		e.add(Warning, "the connection for LISTEN goes through a pooler in transaction mode, so a sidecar reads on a timer", "set AGENTEXEC_LISTEN_URL to a direct connection for the sidecar")
		return nil
	}
	took, err := roundTrip(ctx, conn)
	if err != nil {
		e.add(Problem, fmt.Sprintf("the round trip of a notification failed (limit %s): %v", listenTimeout, err), advice)
		return nil
	}
	e.add(OK, fmt.Sprintf("a notification arrives after %.1f ms", float64(took.Microseconds())/1000), "")
	return nil
}

// roundTrip sends a notification to its own session and waits for it.
func roundTrip(ctx context.Context, conn *pgx.Conn) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	const channel = "agentexec_doctor"
	began := time.Now()
	if _, err := conn.Exec(ctx, "listen "+channel+"; select pg_catalog.pg_notify('"+channel+"', pg_catalog.pg_backend_pid()::pg_catalog.text)"); err != nil {
		return 0, err
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return 0, err
		}
		if n.PID == conn.PgConn().PID() { // another doctor may notify too
			return time.Since(began), nil
		}
	}
}
