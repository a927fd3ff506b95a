package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWrongUsage: each is refused with exit code 2 and one line, before anything is written.
func TestWrongUsage(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")

	for _, tc := range []struct{ args, says string }{
		{"nonsense", `unknown command "nonsense"`},
		{"cancle", "did you mean cancel"},
		{"help nonsense", `unknown command "nonsense"`},
		{"--nonsense", "unknown flag: --nonsense"},
		{"list --nonsense", "unknown flag: --nonsense"},
		{"list -x", "unknown shorthand flag"},
		{"list extra", `unexpected argument "extra"`},
		{"version extra", `unexpected argument "extra"`},
		{"create", "TASK is missing"},
		{"create a b c", `unexpected argument "c"`},
		{"create a --metadata", "flag needs an argument"},
		{"create a --metadata {", "must be a JSON object"},
		{"create a --metadata {}{}", "must be a JSON object"},
		{"create a --metadata [1]", "must be a JSON object"},
		{"create a --metadata null", "must be a JSON object"},
		{"create a --agent-id nope", "must be a UUID"},
		{"create " + strings.Repeat("x", 256), "1 to 255 characters"},
		{"log", "AGENT_ID is missing"},
		{"log ID", "MESSAGE is missing"},
		{"log nope x", "must be a UUID"},
		{"log xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx x", "must be a UUID"},
		{"log (01234567-89ab-cdef-0123-456789abcdef) x", "must be a UUID"},
		{"log ID x --percentage", "flag needs an argument"},
		{"log ID x --percentage half", "must be a whole number"},
		{"log ID x --percentage 1.5", "must be a whole number"},
		{"log ID x --percentage 99999999999", "must be a whole number"},
		{"log ID x --percentage 101", "between 0 and 100"},
		{"log ID x --percentage -1", "between 0 and 100"},
		{"log ID x --status DONE", `"DONE" is no status`},
		{"log ID x --status RUNNING,QUEUED", "takes one status"},
		{"log ID x --data {", "must be JSON"},
		{"log ID x --at-seq one", "must be a whole number"},
		{"log ID x --at-seq 0", "--at-seq must be at least 1"},
		{"log ID - --at-seq 0", "--at-seq must be at least 1"},
		{"heartbeat", "AGENT_ID is missing"},
		{"heartbeat nope", "must be a UUID"},
		{"heartbeat ID --expect-every 30", "must be a duration"},
		{"heartbeat ID --expect-every 0s", "--expect-every must be above zero"},
		{"heartbeat ID --expect-every 10ms", "between 1 second and 1 day"},
		{"heartbeat ID --expect-every 25h", "between 1 second and 1 day"},
		{"sweep extra", `unexpected argument "extra"`},
		{"questions nope", "must be a UUID"},
		{"questions ID extra", `unexpected argument "extra"`},
		{"questions --state open", `"open" is no state: use PENDING`},
		{"questions --state PENDING,ANSWERED", "is no state"},
		{"questions --page-size 0", "--page-size must be at least 1"},
		{"questions --page-size 1001", "between 1 and 1000"},
		{"questions --after x", "after must be"},
		{"questions --metadata org", "KEY=VALUE"},
		{"answer", "AGENT_ID is missing"},
		{"answer ID", "KEY is missing"},
		{"answer nope k 1", "must be a UUID"},
		{"answer ID k", "give one of these"},
		{"answer ID k 1 --decline", "give one of these"},
		{"answer ID k 1 --text a", "give one of these"},
		{"answer ID k --text a --decline", "give one of these"},
		{"answer ID k red", `"red" is no JSON; for a string, write '"red"' or --text "red"`},
		{"answer ID k {", `"{" is no JSON`},
		{"answer ID k 1]", `"1]" is no JSON`},
		{"answer ID k -5", "-5 is no flag: put -- before a negative number"},
		{"create a --parent nope", "--parent: \"nope\" must be a UUID"},
		{"list --parent nope", "must be a UUID"},
		{"list --roots --parent ID", "--roots does not go with --parent"},
		{"list --waiting=perhaps", "must be true or false"},
		{"retention lst", "did you mean list"},
		{"retention set", "AGE is missing: agentexec retention set AGE;"},
		{"retention set 30", `AGE "30" must be an age above zero, such as 30d`},
		{"retention set 0d", "must be an age above zero"},
		{"retention set -- -5d", "must be an age above zero"},
		{"retention set 200y", "must be an age above zero"},
		{"retention set 2026-01-02T15:04:05Z", "must be an age above zero"},
		{"retention set 10ms", "keep must be between 1 second"},
		{"retention set 30d --status RUNNING", `"RUNNING" does not end an activity`},
		{"retention set 30d --status ERROR,COMPLETE", "takes one status"},
		{"retention set 30d --agent-type=", "must not be empty"},
		{"retention list extra", `unexpected argument "extra"`},
		{"prune", "--older-than is missing, such as --older-than 30d"},
		{"prune --dry-run", "--older-than is missing"},
		{"prune --older-than 0d", "must be an age above zero"},
		{"prune --older-than", "flag needs an argument"},
		{"prune --older-than 30d --status QUEUED", "does not end an activity"},
		{"watch ID --retries=soon", "must be a duration"},
		{"watch ID --retries=0s", "must be a duration"},
		{"watch ID --retries 30s", "--retries=30s"},
		{"completion fish-and-chips", "unknown command"},
		{"log ID x --percent 40", "unknown flag: --percent, did you mean --percentage?"},
		{"dev --frseh", "unknown flag: --frseh, did you mean --fresh?"},
		{"list --statsu RUNNING", "did you mean --status?"},
		{"list --limit 5", "unknown flag: --limit;"},
		{"list --status RUN,ERROR", `agentexec: --status: "RUN" is no status`},
		{"complete", "AGENT_ID is missing"},
		{"complete nope", "must be a UUID"},
		{"complete ID --percentage 101", "between 0 and 100"},
		{"error", "AGENT_ID is missing"},
		{"error ID --percentage 1", "unknown flag"},
		{"cancel", "AGENT_ID is missing"},
		{"cancel ID a b", `unexpected argument "b"`},
		{"cancel ID --grace soon", "must be a duration, such as 90s or 15m, or never"},
		{"cancel ID --grace 30", "must be a duration"},
		{"cancel ID --grace=-5s", "must not be negative"},
		{"cancel ID --grace 9000h", "grace must be between 0 and"},
		{"cancel ID --force --grace 30s", "--force and --grace do not go together"},
		{"cancel ID --force --grace never", "--force and --grace do not go together"},
		{"cancel-pending --agent-type=", "must not be empty"},
		{"cancel-pending --idle-for 15", "must be a duration"},
		{"cancel-pending --idle-for=-5s", "must not be negative"},
		{"cancel-pending --metadata [1]", "or a JSON object"},
		{"list --status RUN", `"RUN" is no status`},
		{"list --status RUNNING,", `"" is no status`},
		{"list --stale=perhaps", "--stale"},
		{"list --page 0", "--page must be at least 1"},
		{"list --page-size 0", "--page-size must be at least 1"},
		{"list --page-size 1001", "between 1 and 1000"},
		{"show", "AGENT_ID is missing"},
		{"show nope", "must be a UUID"},
		{"watch", "AGENT_ID is missing"},
		{"watch nope", "must be a UUID"},
		{"watch ID --after-seq x", "must be a whole number"},
		{"watch ID --after-seq -1", "must not be negative"},
		{"migrate --print --status", "do not go together"},
		{"dev --fresh", "AGENTEXEC_DATABASE_URL names another: unset it;"},
		{"dev --demo-agents -1", "between 0 and 1000"},
		{"demo --demo-agents 0", "between 1 and 1000"},
		{"demo --demo-dir=", "must not be empty"},
		{"list --schema Other", `"Other" is no name for a schema`},
		{"serve --addr nonsense", "is no address"},
		{"serve --addr 127.0.0.1:http-but-not", "is no address"},
		{"serve --log-level loud", "is no log level"},
		{"serve --in-flight-bytes many", "whole number of bytes"},
		{"serve --in-flight-bytes 100", "at least 32768"},
		{"serve --in-flight-bytes 99999999999", "whole number of bytes"},
		{"serve --max-sockets none", "from 1 to 2147483647, or off"},
		{"serve --max-sockets 0", "from 1 to 2147483647, or off"},
		{"serve --max-subscriptions off", "must be a whole number"},
		{"serve --max-body-bytes 99999999999", "must be a whole number"},
		{"serve --max-page-size 49", "from 50 to 1000"},
		{"serve --body-timeout 30", "must be a duration above zero"},
		{"serve --header-timeout 0s", "must be a duration above zero"},
		{"serve --tls-cert x.pem", "both a certificate and its key"},
		{"serve --tls-key x.pem", "both a certificate and its key"},
		{"serve --trusted-proxy 10.0.0.0/33", "IP address or a network"},
		{"serve --trusted-proxy 10.0.0.1,proxy", `"proxy" must be`},
		{"serve --base-path agentexec", "--base-path: base path \"agentexec\" must be a path such as /agentexec"},
		{"serve --base-path //evil.example", "must be a path such as /agentexec"},
		{"serve --base-path /v1", "hides /v1 of the service itself"},
		{"dev --base-path /a/../b", "must be a path such as /agentexec"},
		{"serve --proxy-header X-Real-IP", "X-Forwarded-For or Forwarded"},
		{"list --database-url nonsense", "not a usable database URL"},
		{"list --database-url postgres://u:geh/eim@h:x/d", "not a usable database URL"},
		{"serve --database-url postgres://h:x/d", "not a usable database URL"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(strings.ReplaceAll(tc.args, "ID", id))
			line := c.refused(t, 2, args...)
			require.Contains(t, line, tc.says)
			require.NotContains(t, line, "geh")
			require.NotContains(t, line, "eim")
		})
	}
	t.Run("PprofOfTheEnvironment", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, c.with("AGENTEXEC_PPROF=perhaps").refused(t, 2, "serve"), "AGENTEXEC_PPROF")
	})
	t.Run("LogLevelOfTheEnvironment", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, c.with("AGENTEXEC_LOG_LEVEL=loud").refused(t, 2, "list"), "AGENTEXEC_LOG_LEVEL")
	})
	t.Cleanup(func() {
		require.Equal(t, int64(1), query[int64](t, c, "select count(*) from agentexec.activity_log"))
	})
}

// TestNoDatabase: one line and exit code 1, without the password, whatever is wrong.
func TestNoDatabase(t *testing.T) {
	t.Parallel()
	c := bare(t)
	commands := []string{
		"migrate", "create a", "log ID x", "complete ID", "error ID", "cancel ID", "cancel-pending --all", "heartbeat ID", "sweep", "questions", "answer ID k 1", "retention list", "retention set 30d", "prune --older-than 30d", "list", "list --watch", "show ID", "show 01234567", "watch ID", "demo",
	}
	for _, command := range commands {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(strings.ReplaceAll(command, "ID", "01234567-89ab-cdef-0123-456789abcdef"))
			require.Contains(t, c.refused(t, 1, args...), "no database: set AGENTEXEC_DATABASE_URL")

			// Nothing listens on port 1.
			line := c.with("DATABASE_URL=postgres://me:geheim@127.0.0.1:1/mine").refused(t, 1, args...)
			require.Equal(t, `agentexec: cannot connect to database "mine" at 127.0.0.1:1 as user "me": connection refused`, line)
		})
	}
	t.Run("UnknownHost", func(t *testing.T) {
		t.Parallel()
		line := c.refused(t, 1, "list", "--database-url", "postgres://me:geheim@no.such.host.invalid/mine")
		require.Contains(t, line, "no.such.host.invalid")
		require.NotContains(t, line, "geheim")
	})
	t.Run("WrongDatabase", func(t *testing.T) {
		t.Parallel()
		c := setup(t)
		url := strings.Replace(c.db.URL, c.db.Name, "no_such_database", 1)
		require.Contains(t, c.refused(t, 1, "list", "--database-url", url), `database "no_such_database" does not exist`)
	})
	t.Run("TheFirstVariableWins", func(t *testing.T) {
		t.Parallel()
		setup(t).with("DATABASE_URL=postgres://127.0.0.1:1/mine").ok(t, "list")
	})
	t.Run("TheFlagWins", func(t *testing.T) {
		t.Parallel()
		setup(t).refused(t, 1, "list", "--database-url", "postgres://127.0.0.1:1/mine")
	})
}
