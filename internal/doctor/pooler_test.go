package doctor_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/doctor"
	"github.com/agentexec/agentexec/internal/pgtest"
)

// TestPooler: behind PgBouncer in transaction mode the checks work, and LISTEN needs a direct connection.
func TestPooler(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	config, err := pgx.ParseConfig(pgtest.PgBouncer(t, db.URL))
	require.NoError(t, err)
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	var conn *pgx.Conn
	require.Eventually(t, func() bool {
		conn, err = pgx.ConnectConfig(context.Background(), config)
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })

	bad := examine(t, conn)
	require.Equal(t, doctor.Warning, bad["listener"].Level)
	require.Contains(t, bad["listener"].Found, "goes through a pooler")
	require.NotContains(t, bad, "pooler")

	direct := db.Conn(t).Config()
	direct.OnNotification = nil
	found, err := doctor.Examine(t.Context(), conn, doctor.Config{Schema: "agentexec", Listen: direct})
	require.NoError(t, err)
	for _, f := range found {
		if f.Check == "listener" || f.Check == "pooler" {
			require.Equal(t, doctor.OK, f.Level, f.Found)
		}
	}
}
