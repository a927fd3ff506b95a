package sidecar_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/internal/pgtest/plant"
	"github.com/agentexec/agentexec/sidecar"
)

// TestPlantedObjectsNeverRun: a superuser's sidecar runs nothing that another role has created in public or in a schema of
// the default search_path, over HTTP, for the feed and in the tail.
func TestPlantedObjectsNeverRun(t *testing.T) {
	t.Parallel()
	setups := map[string]func(t *testing.T, db *pgtest.Database, cfg *sidecar.Config){
		"Direct":   func(*testing.T, *pgtest.Database, *sidecar.Config) {},
		"PollOnly": func(_ *testing.T, _ *pgtest.Database, cfg *sidecar.Config) { cfg.PollOnly = true },
		"BehindPgBouncer": func(t *testing.T, db *pgtest.Database, cfg *sidecar.Config) {
			cfg.DatabaseURL = pgtest.PgBouncer(t, db.URL)
		},
		"SearchPathInTheURL": func(_ *testing.T, _ *pgtest.Database, cfg *sidecar.Config) {
			cfg.DatabaseURL += "&search_path=planted,public,pg_catalog&options=-csearch_path%3Dplanted,public,pg_catalog"
		},
	}
	for name, configure := range setups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			planter := db.Conn(t)
			db.Exec(t, "create schema planted")
			for _, schema := range []string{"public", "planted"} {
				require.NoError(t, plant.In(t.Context(), planter, schema))
			}
			db.Exec(t, fmt.Sprintf("alter database %s set search_path = planted, public, pg_catalog", db.Name))
			requirePlanted(t, db)
			before, err := plant.Calls(t.Context(), planter, "public", "planted")
			require.NoError(t, err)

			serviceHolds(t, db, func(cfg *sidecar.Config) { configure(t, db, cfg) })
			after, err := plant.Calls(t.Context(), planter, "public", "planted")
			require.NoError(t, err)
			require.Equal(t, before, after, "a planted function ran, and its error was hidden")
		})
	}
}

// requirePlanted checks that what is planted would run in a session of the database's defaults.
func requirePlanted(t *testing.T, db *pgtest.Database) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "select 'RUNNING'::agentexec.status = 'QUEUED'")
	require.ErrorContains(t, err, "planted function ran")
}
