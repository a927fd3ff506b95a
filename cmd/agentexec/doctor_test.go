package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/doctor"
	"github.com/agentexec/agentexec/internal/pgtest"
)

// TestDoctor: warnings leave the exit code 0, and a problem makes it 1. Each finding that is not ok says what to do.
func TestDoctor(t *testing.T) {
	t.Parallel()
	c := setup(t)
	healthy := c.ok(t, "doctor")
	require.Regexp(t, `(?m)^ok       schema         the schema is current \(version \d+\)$`, healthy)
	require.Regexp(t, `(?m)^ok       listener       a notification arrives after \d+\.\d ms$`, healthy)
	require.Regexp(t, `(?m)^warning  retention      there is no retention rule, .* a day .*\n {24}set how long .* agentexec retention set 30d$`, healthy)

	id := c.running(t)
	c.ok(t, "retention", "set", "30d")
	c.db.Exec(t, "select agentexec.heartbeat($1::uuid, '1 s')", id)
	c.db.Exec(t, "update agentexec.activity_heartbeat set beat_at = beat_at - interval '1 hour'")
	c.db.Exec(t, "update agentexec.activity set updated_at = updated_at - interval '1 hour'")
	c.db.Exec(t, "alter table agentexec.activity_log disable trigger activity_log_take")
	r := c.run(t, "doctor", "--json")
	require.Equal(t, 1, r.code, r.stdout)
	require.Empty(t, r.stderr)
	var findings []doctor.Finding
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &findings))
	problems := map[string]string{}
	for _, f := range findings {
		if f.Level == doctor.Problem {
			problems[f.Check] = f.Found
			require.NotEmpty(t, f.Advice)
		}
	}
	require.Contains(t, problems["drift"], "trigger activity_log_take is disabled")
	require.NotContains(t, problems, "retention")

	k := c.console(t, 160, 40, "doctor")
	require.Equal(t, 1, k.end(t))
	require.Regexp(t, `(?m)^problem  drift `, k.screen())
	require.Contains(t, k.written(), "\x1b[31mproblem\x1b[0m")

	other := c.with("AGENTEXEC_LISTEN_URL=postgres://me:geheim@127.0.0.1:1/mine").run(t, "doctor")
	require.Equal(t, 1, other.code)
	require.Contains(t, other.stdout, "cannot be opened")
	require.NotContains(t, other.stdout+other.stderr, "geheim")
	require.Contains(t, c.with("AGENTEXEC_LISTEN_URL=nonsense").refused(t, 2, "doctor"), "AGENTEXEC_LISTEN_URL: not a usable database URL")
}

func TestDoctorWithoutSchema(t *testing.T) {
	t.Parallel()
	c := onDatabase(t, pgtest.Empty(t))
	r := c.run(t, "doctor", "--schema", "mine")
	require.Equal(t, result{1, "problem  schema         the schema is not installed\n                        run: agentexec migrate --schema mine\n", ""}, r)
	require.Contains(t, bare(t).refused(t, 1, "doctor"), "no database: set AGENTEXEC_DATABASE_URL")
}
