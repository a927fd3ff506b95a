package migrate_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/internal/pgtest/plant"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// An upgrade runs nothing that another role has created, whatever the search_path of the connection is.
func TestPlantedObjectsNeverRun(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	looker := db.Conn(t)
	require.NoError(t, plant.In(t.Context(), looker, "public"))
	calls := func() int64 {
		n, err := plant.Calls(t.Context(), looker, "public")
		require.NoError(t, err)
		return n
	}
	for _, path := range []string{`"$user", public`, "public, pg_catalog"} {
		db.Exec(t, "alter database "+db.Name+" set search_path = "+path) // RESET ALL comes back to it
		conn, err := pgx.Connect(t.Context(), db.URL)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
		require.NoError(t, plant.Temp(t.Context(), conn))
		before := calls()
		for name, change := range map[string]string{
			"Migrations": "drop schema agentexec cascade",
			"Code": `do $$ begin
				drop function agentexec.count_active;
				execute regexp_replace(pg_get_functiondef('agentexec._installed'::regproc), '[0-9a-f]{64}', 'of another release');
			end $$`,
			"Nothing": "select",
		} {
			db.Exec(t, change)
			require.NoError(t, migrate.Up(t.Context(), conn, &migrate.Options{RowSecurity: true}), "%s %s", path, name)
			requireState(t, conn, nil, migrate.Current)
			_, err := conn.Exec(t.Context(), "select agentexec.count_active()")
			require.NoError(t, err, name)
		}
		require.Equal(t, before, calls(), path)
	}
}
