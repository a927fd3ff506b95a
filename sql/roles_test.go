package sql_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// role makes a role with the given rights in the database (%s stands for its name), and returns a connection as it.
// Roles belong to the server, so its name is unique.
func role(t *testing.T, db *pgtest.Database, grants ...string) (*pgx.Conn, string) {
	t.Helper()
	name := fmt.Sprintf("agentexec_test_%016x", rand.Uint64())
	db.Exec(t, "create role "+name)
	t.Cleanup(func() { db.Exec(t, "drop owned by "+name+" cascade; drop role "+name) })
	for _, grant := range grants {
		db.Exec(t, fmt.Sprintf(grant, name))
	}
	conn := db.Conn(t)
	_, err := conn.Exec(t.Context(), "set session authorization "+name)
	require.NoError(t, err)
	return conn, name
}

const (
	useSchema  = "grant usage on schema agentexec to %s"
	insertLog  = "grant insert on agentexec.activity_log to %s"
	executeAll = "grant execute on all functions in schema agentexec to %s"
	// executePublic grants what the contract names, and nothing that is private.
	executePublic = `do $$ begin execute (select string_agg(format('grant execute on function %%s to %s', p.oid::regprocedure), ';')
		from pg_proc p where p.pronamespace = 'agentexec'::regnamespace and p.proname not like '\_%%'); end $$`
	readTables = "grant select on agentexec.activity, agentexec.activity_log, agentexec.activity_heartbeat, agentexec.activity_list to %s"
)

// writers is a call of every writing function; $1 is an activity that runs.
var writers = map[string]string{
	"create_activity": "select agentexec.create_activity('x') from (select $1::uuid) x",
	"append_log":      "select agentexec.append_log($1, 'x')",
	"append_logs":     "select agentexec.append_logs(jsonb_build_array(jsonb_build_object('agent_id', $1::uuid, 'message', 'x')))",
	"complete":        "select agentexec.complete($1)",
	"error":           "select agentexec.error($1)",
	"cancel":          "select agentexec.cancel($1)",
	"cancel_pending":  "select agentexec.cancel_pending() from (select $1::uuid) x",
	"heartbeat":       "select agentexec.heartbeat($1)",
	"sweep":           "select agentexec.sweep() from (select $1::uuid) x",
}

// lineWriters are those of the writers that write a line here.
func lineWriters() map[string]string {
	calls := maps.Clone(writers)
	delete(calls, "heartbeat")
	delete(calls, "sweep")
	return calls
}

var readers = map[string]string{
	"list_activities": "select agentexec.list_activities() from (select $1::uuid) x",
	"activity_detail": "select agentexec.activity_detail($1)",
	"count_active":    "select agentexec.count_active() from (select $1::uuid) x",
	"count_by_status": "select agentexec.count_by_status() from (select $1::uuid) x",
	"stats":           "select agentexec.stats() from (select $1::uuid) x",
	"pending_ids":     "select agentexec.pending_ids() from (select $1::uuid) x",
	"activity_list":   "select * from agentexec.activity_list where agent_id = $1",
}

// setupOwned is setup with a schema whose owner is an ordinary role, not a superuser.
func setupOwned(t *testing.T) (*bundle, string) {
	t.Helper()
	db := pgtest.Empty(t)
	b := &bundle{T: t, db: db, pool: db.Pool(t)}
	conn, owner := role(t, db, fmt.Sprintf("grant create on database %s to ", db.Name)+"%s")
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	t.Cleanup(func() { requireInvariants(t, db) })
	return b, owner
}

func TestExecuteRights(t *testing.T) {
	t.Parallel()
	b, _ := setupOwned(t)
	try := func(conn *pgx.Conn, call string) error {
		_, err := conn.Exec(t.Context(), call, b.in("RUNNING"))
		return err
	}

	t.Run("NoExecuteByDefault", func(t *testing.T) {
		conn, _ := role(t, b.db, useSchema)
		for _, calls := range []map[string]string{writers, readers} {
			for _, call := range calls {
				requireRefused(t, try(conn, call), "42501")
			}
		}
		require.Empty(t, all[string](t, b.pool, `select p.oid::regprocedure::text from pg_proc p
			where p.pronamespace = 'agentexec'::regnamespace and has_function_privilege('public', p.oid, 'execute')
			and (p.prosecdef or p.proname not like '\_%')`), "what is open to all has no rights of its own, and is private")
	})

	t.Run("ExecuteIsEnoughToWrite", func(t *testing.T) {
		conn, _ := role(t, b.db, useSchema, executeAll)
		for _, call := range writers {
			require.NoError(t, try(conn, call), call)
		}
		for _, call := range readers {
			requireRefused(t, try(conn, call), "42501")
		}
		for _, call := range []string{"select agentexec._transition($1, 5, 'RUNNING')",
			"insert into agentexec.activity_log (activity_id, message) values ($1, 'x')",
			"update agentexec.activity set last_seq = 5 where agent_id = $1", "delete from agentexec.activity where agent_id = $1"} {
			requireRefused(t, try(conn, call), "42501")
		}
	})

	t.Run("READMEGrantsAreEnough", func(t *testing.T) { requireReadmeGrants(t, b) })

	t.Run("ThePublicOnesAreEnough", func(t *testing.T) {
		conn, _ := role(t, b.db, useSchema, executePublic)
		for _, call := range writers {
			require.NoError(t, try(conn, call), call)
		}
	})

	t.Run("EachFunctionOnItsOwn", func(t *testing.T) {
		for name, call := range writers {
			conn, _ := role(t, b.db, useSchema, `do $$ begin execute (select format('grant execute on function %%s to %s',
				p.oid::regprocedure) from pg_proc p where p.pronamespace = 'agentexec'::regnamespace and p.proname = '`+name+`'); end $$`)
			require.NoError(t, try(conn, call), name)
		}
	})

	t.Run("SelectIsEnoughToRead", func(t *testing.T) {
		conn, _ := role(t, b.db, useSchema, executePublic, readTables)
		for _, call := range readers {
			require.NoError(t, try(conn, call), call)
		}
	})
}

// requireReadmeGrants makes two roles, grants them what the README says, and checks what they may do.
func requireReadmeGrants(t *testing.T, b *bundle) {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, grants, _ := strings.Cut(string(readme), "```sql\ngrant")
	grants, _, found := strings.Cut("grant"+grants, "```")
	require.True(t, found)
	worker, workerName := role(t, b.db)
	reader, readerName := role(t, b.db)
	b.exec(strings.NewReplacer("worker", workerName, "reader", readerName).Replace(grants))
	may := func(conn *pgx.Conn, allowed bool, calls map[string]string) {
		t.Helper()
		for _, call := range calls {
			_, err := conn.Exec(t.Context(), call, b.in("RUNNING"))
			if allowed {
				require.NoError(t, err, call)
			} else {
				requireRefused(t, err, "42501")
			}
		}
	}
	may(worker, true, writers)
	may(worker, false, readers)
	may(reader, true, readers)
	may(reader, false, writers)
}

// Grants by hand and the roles go together, in whatever order they are made.
func TestReadmeGrantsBesideTheRoles(t *testing.T) {
	t.Parallel()
	b := setupRoles(t, false)
	requireReadmeGrants(t, b)
}

// The trigger functions run with the owner's rights, so they must not work for another role's table, which would
// use up numbers without writing lines.
func TestTriggerFunctionsServeNoOtherTable(t *testing.T) {
	t.Parallel()
	b, _ := setupOwned(t)
	agent := b.in("RUNNING")
	activityID := one[uuid.UUID](t, b.pool, "select id from agentexec.activity where agent_id = $1", agent)
	conn, _ := role(t, b.db, useSchema, executeAll, "grant temporary on database "+b.db.Name+" to %s", readTables)
	_, err := conn.Exec(t.Context(), `create temp table activity_log (like agentexec.activity_log);
		create trigger t before insert on pg_temp.activity_log for each row execute function agentexec._number_line()`)
	require.NoError(t, err)
	before := contents(t, b.pool)
	_, err = conn.Exec(t.Context(), "insert into pg_temp.activity_log (activity_id, message) values ($1, 'x')", activityID)
	requireRefused(t, err, "42501")
	require.Equal(t, before, contents(t, b.pool))
}
