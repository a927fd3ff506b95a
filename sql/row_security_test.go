package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest/plant"
)

// tenants makes an activity with three lines for each of two tenants.
func (b *bundle) tenants() (mine, foreign uuid.UUID) {
	b.Helper()
	for _, org := range []string{"1", "2"} {
		mine, foreign = foreign, one[uuid.UUID](b.T, b.pool, `select agentexec.create_activity('research', metadata => jsonb_build_object('org', $1::text))`, org)
		b.exec("select agentexec.append_log($1, 'go', 10, 'RUNNING'), agentexec.append_log($1, 'secret of ' || $2::text)", foreign, org)
	}
	return mine, foreign
}

const scopeOf1 = `set agentexec.scope = '{"metadata": {"org": "1"}}'`

func TestRowSecurity(t *testing.T) {
	t.Parallel()
	b := setupRoles(t, true)
	mine, foreign := b.tenants()
	reader, _ := login(t, b.db, asReader)
	count := func(sql string) int { return one[int](t, reader, sql) }
	require.Equal(t, 2, count("select count(*) from agentexec.activity"))
	require.Equal(t, 6, count("select count(*) from agentexec.activity_log"))
	_, err := reader.Exec(t.Context(), scopeOf1)
	require.NoError(t, err)
	require.Equal(t, 1, count("select count(*) from agentexec.activity"))
	require.Equal(t, 1, count("select count(*) from agentexec.activity_list"))
	require.Equal(t, 3, count("select count(*) from agentexec.activity_log"))
	require.Equal(t, 1, count("select agentexec.count_active()"))
	require.Equal(t, []uuid.UUID{mine}, all[uuid.UUID](t, reader, "select agentexec.pending_ids()"))
	require.Equal(t, []uuid.UUID{mine}, all[uuid.UUID](t, reader, "select agent_id from agentexec.activity_list"))
	require.Equal(t, 0, count("select count(*) from agentexec.activity_list where agent_id = '"+foreign.String()+"'"))
	require.Nil(t, one[*string](t, reader, "select agentexec.activity_detail($1)::text", foreign))

	for _, bad := range []string{"x", `{"agent_id": []}`, `{"metadata": 1}`} {
		_, err := reader.Exec(t.Context(), "select set_config('agentexec.scope', $1, false)", bad)
		require.NoError(t, err)
		for _, table := range []string{"activity", "activity_log", "activity_list"} {
			_, err := reader.Exec(t.Context(), "select * from agentexec."+table)
			requireRefused(t, err, "TA422")
		}
	}

	// A login with more rights than its role stays in the scope.
	writer, name := login(t, b.db, asReader)
	b.exec("grant insert, update, delete on agentexec.activity, agentexec.activity_log to " + name)
	_, err = writer.Exec(t.Context(), scopeOf1)
	require.NoError(t, err)
	tag, err := writer.Exec(t.Context(), "update agentexec.activity_log set message = 'seen'")
	require.NoError(t, err)
	require.EqualValues(t, 3, tag.RowsAffected())
	tag, err = writer.Exec(t.Context(), "delete from agentexec.activity where agent_id = $1", foreign)
	require.NoError(t, err)
	require.Zero(t, tag.RowsAffected())
	_, err = writer.Exec(t.Context(), `update agentexec.activity set metadata = '{"org": "2"}'`)
	requireRefused(t, err, "42501")
	foreignID := one[uuid.UUID](t, b.pool, "select id from agentexec.activity where agent_id = $1", foreign)
	_, err = writer.Exec(t.Context(), "insert into agentexec.activity_log (activity_id, message) values ($1, 'x')", foreignID)
	requireRefused(t, err, "TA404")
	mineID := one[uuid.UUID](t, b.pool, "select id from agentexec.activity where agent_id = $1", mine)
	_, err = writer.Exec(t.Context(), "insert into agentexec.activity_log (activity_id, message) values ($1, 'x')", mineID)
	require.NoError(t, err)
	_, err = writer.Exec(t.Context(), "update agentexec.activity_log set activity_id = $1", foreignID)
	requireRefused(t, err, "42501")
}

// A session that keeps its setting does not get out of it, whatever else it changes; see TestBoundLogin for one that would
// change the setting.
func TestBreakingOut(t *testing.T) {
	t.Parallel()
	b := setupRoles(t, true)
	_, foreign := b.tenants()
	for _, member := range []string{asReader, asWorker} {
		conn, name := login(t, b.db, member)
		b.exec(fmt.Sprintf("create schema authorization %s; grant temporary on database %s to %[1]s", name, b.db.Name))
		require.NoError(t, plant.In(t.Context(), conn, name))
		require.NoError(t, plant.Temp(t.Context(), conn))
		_, err := conn.Exec(t.Context(), scopeOf1)
		require.NoError(t, err)
		for _, role := range []string{"postgres", asSidecar, "agentexec_owner"} {
			_, err = conn.Exec(t.Context(), "set role "+role)
			require.Error(t, err)
			_, err = conn.Exec(t.Context(), "set session authorization "+role)
			require.Error(t, err)
		}
		_, err = conn.Exec(t.Context(), "set row_security = off")
		require.NoError(t, err) // and what would need it fails
		if member == asReader {
			_, err = conn.Exec(t.Context(), "select * from agentexec.activity")
			requireRefused(t, err, "42501")
		}
		_, err = conn.Exec(t.Context(), "set row_security = on")
		require.NoError(t, err)

		for _, path := range []string{name, name + ", pg_temp, pg_catalog", "pg_temp, " + name + ", pg_catalog, agentexec"} {
			_, err := conn.Exec(t.Context(), "set search_path = "+path)
			require.NoError(t, err)
			for _, call := range directly {
				requireForbidden(t, conn, call, foreign)
			}
			if member == asWorker {
				for _, call := range []string{
					"append_log('AGENT', 'x')", "append_log('AGENT', 'x', status => 'COMPLETE')", "complete('AGENT')", "error('AGENT')",
					"cancel('AGENT')", "heartbeat('AGENT')", "append_log('AGENT', 'x', at_seq => 3)", `append_logs('[{"agent_id": "AGENT", "message": "x"}]')`,
				} {
					_, err := conn.Exec(t.Context(), "select agentexec."+strings.ReplaceAll(call, "AGENT", foreign.String()))
					requireRefused(t, err, "TA404")
				}
				_, err := conn.Exec(t.Context(), "select agentexec.create_activity('x')")
				requireRefused(t, err, "42501", "outside")
				_, err = conn.Exec(t.Context(), "select agentexec.cancel_pending()")
				require.NoError(t, err)
				continue
			}
			// A function that looks at every row it is asked about is asked only about rows in the scope.
			_, err = conn.Exec(t.Context(), fmt.Sprintf(`create or replace function %s.look(pg_catalog.text) returns pg_catalog.bool language plpgsql cost 0.0001 as
				$$ begin raise notice '%%', $1; if $1 operator(pg_catalog.~~) '%%2' then raise exception 'seen'; end if; return true; end $$`, name))
			require.NoError(t, err)
			_, err = conn.Exec(t.Context(), fmt.Sprintf("select from agentexec.activity_log l where %s.look(l.message)", name))
			require.NoError(t, err)
			_, err = conn.Exec(t.Context(), fmt.Sprintf("select from agentexec.activity_list l where %s.look(l.latest_log)", name))
			require.NoError(t, err)
		}
	}
	require.Equal(t, "RUNNING", one[string](t, b.pool, "select status::text from agentexec.activity where agent_id = $1", foreign))
}

// A login that must stay in its scope is bound by a policy of its own, as docs/access.md says.
func TestBoundLogin(t *testing.T) {
	t.Parallel()
	b := setupRoles(t, true)
	mine, _ := b.tenants()
	conn, name := login(t, b.db, asReader)
	_, bind, found := strings.Cut(readDoc(t, "access.md"), "```sql\ncreate policy")
	bind, _, _ = strings.Cut("create policy"+bind, "```")
	require.True(t, found)
	b.exec(strings.ReplaceAll(bind, "acme_reader", name))
	for _, try := range []string{"reset agentexec.scope", `set agentexec.scope = ''`, `set agentexec.scope = '{"metadata": {"org": "2"}}'`,
		`set agentexec.scope = '{"metadata": {"org": "1"}}'`, "set role " + asReader, "reset role", "reset all", "set row_security = on"} {
		_, err := conn.Exec(t.Context(), try)
		require.NoError(t, err)
		for _, seen := range [][]string{
			all[string](t, conn, "select a.agent_id::text from agentexec.activity a"),
			all[string](t, conn, "select l.agent_id::text from agentexec.activity_list l"),
			all[string](t, conn, "select agentexec.pending_ids()::text"),
			all[string](t, conn, "select distinct a.agent_id::text from agentexec.activity_log l join agentexec.activity a on a.id = l.activity_id"),
		} {
			if len(seen) > 0 || !strings.Contains(try, `"2"`) {
				require.Equal(t, []string{mine.String()}, seen, try)
			}
		}
		require.Empty(t, all[string](t, conn, "select l.message from agentexec.activity_log l where l.message like '%of 2'"), try)
	}
}

// The sidecar's plans are as without row security.
func TestRowSecurityLeavesTheSidecarItsIndexes(t *testing.T) {
	t.Parallel()
	b := setupRoles(t, true)
	b.exec(`select agentexec.create_activity('bulk', metadata => jsonb_build_object('n', n)) from generate_series(1, 5000) n`)
	b.exec("analyze agentexec.activity")
	sidecar, _ := login(t, b.db, asSidecar)
	plan := strings.Join(all[string](t, sidecar, `explain select * from agentexec.activity a where a.metadata @> '{"n": 5}'`), "\n")
	require.Contains(t, plan, "activity_metadata_idx")
	require.NotContains(t, plan, "InitPlan")
}
