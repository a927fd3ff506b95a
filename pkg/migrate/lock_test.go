package migrate_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sql"
)

// Up names the holder of any lock it waits for, and gives up.
func TestUpGivesUpWaiting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(t *testing.T, db *pgtest.Database)
		hold    string
	}{
		"TheInstallersLock": {hold: "select pg_advisory_lock(7091823441950217)"},
		"AWriterWhenTheCodeIsApplied": {
			prepare: func(t *testing.T, db *pgtest.Database) {
				conn := db.Conn(t)
				require.NoError(t, migrate.Up(t.Context(), conn, nil))
				setInstalled(t, conn, sql.Release, "older")
			},
			hold: "select agentexec.create_activity('x')",
		},
		"AReaderWhenTablesAreMigrated": {
			prepare: func(t *testing.T, db *pgtest.Database) { installRelease1(t, db.Conn(t)) },
			hold:    "lock agentexec.activity_log, agentexec.installation in access share mode",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Empty(t)
			if c.prepare != nil {
				c.prepare(t, db)
			}
			holder := db.Conn(t)
			tx, err := holder.Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), c.hold)
			require.NoError(t, err)

			var mu sync.Mutex
			var waited []string
			err = migrate.Up(t.Context(), db.Conn(t), &migrate.Options{LockTimeout: 4 * time.Second, Waiting: func(line string) {
				mu.Lock()
				defer mu.Unlock()
				waited = append(waited, line)
			}})
			require.ErrorIs(t, err, migrate.ErrLocked)
			pid := fmt.Sprintf("pid %d (role postgres, application %s", holder.PgConn().PID(), t.Name()[:10])
			for _, line := range append(waited, err.Error()) {
				require.Contains(t, line, pid)
				require.NotContains(t, line, "\n")
			}
			require.NotEmpty(t, waited)
			require.ErrorContains(t, err, "--lock-timeout")

			require.NoError(t, tx.Rollback(t.Context()))
			require.NoError(t, holder.Close(t.Context()))
			require.NoError(t, migrate.Up(t.Context(), db.Conn(t), nil), "once it is free")
			requireFresh(t, db)
		})
	}
}
