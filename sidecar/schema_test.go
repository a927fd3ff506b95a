package sidecar_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/sidecar"
)

// Faults of a schema of the right version are logged when serving begins.
func TestServeWarnsOfTheSchema(t *testing.T) {
	t.Parallel()
	for words, change := range map[string]string{
		"every role that has USAGE of schema agentexec may execute": "grant execute on function agentexec.cancel_pending to public",
		"row-level security is forced on agentexec.activity":        "alter table agentexec.activity enable row level security; alter table agentexec.activity force row level security",
		"no policy lets a row through":                              "alter table agentexec.activity_log enable row level security",
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			db.Exec(t, change)
			log := new(logtest.Buffer)
			start(t, db, func(cfg *sidecar.Config) { cfg.Logger = log.Logger() })
			require.Contains(t, log.String(), words)
		})
	}
}

// A schema whose version a dump without data has left out is served; one that was renamed is refused, and the command named.
func TestServeAfterARestore(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "delete from agentexec.schema_version")
	s := start(t, db)
	so := s.open(t)
	so.subscribe(t, s.create(t), 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	s.stop()

	db.Exec(t, "alter schema agentexec rename to tracker")
	for schema, words := range map[string]string{"agentexec": "run: agentexec migrate --schema tracker", "tracker": "was called agentexec"} {
		s, err := sidecar.New(sidecar.Config{DatabaseURL: db.URL, Addr: "127.0.0.1:0", Schema: schema})
		require.NoError(t, err)
		err = s.Run(t.Context())
		require.ErrorContains(t, err, words)
		require.ErrorContains(t, err, "run: agentexec migrate")
	}
}
