package sql_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// setupRoles is setup with the roles, and with row security where rows says so. The roles are the server's, and stay.
func setupRoles(t *testing.T, rows bool) *bundle {
	t.Helper()
	db := pgtest.Empty(t)
	b := &bundle{T: t, db: db, pool: db.Pool(t)}
	require.NoError(t, migrate.Up(t.Context(), db.Conn(t), &migrate.Options{Roles: true, RowSecurity: rows}))
	t.Cleanup(func() { requireInvariants(t, db) })
	return b
}

// login makes a role that logs in for itself, a member of others, and returns a connection of it.
func login(t *testing.T, db *pgtest.Database, memberOf ...string) (*pgx.Conn, string) {
	t.Helper()
	name := fmt.Sprintf("agentexec_test_%016x", rand.Uint64())
	db.Exec(t, fmt.Sprintf("create role %s login password 'x'", name))
	t.Cleanup(func() { db.Exec(t, "drop owned by "+name+" cascade; drop role "+name) })
	for _, role := range memberOf {
		db.Exec(t, fmt.Sprintf("grant %s to %s", role, name))
	}
	return connect(t, db, name), name
}

func connect(t *testing.T, db *pgtest.Database, name string) *pgx.Conn {
	t.Helper()
	c, err := pgx.ParseConfig(db.URL)
	require.NoError(t, err)
	c.User, c.Password = name, "x"
	conn, err := pgx.ConnectConfig(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	require.Equal(t, name, one[string](t, conn, "select session_user::text"))
	return conn
}

const (
	asWorker  = "agentexec_worker"
	asReader  = "agentexec_reader"
	asSidecar = "agentexec_sidecar"
)

// directly is for the owner alone.
var directly = []string{
	"insert into agentexec.activity (agent_id, agent_type) values ($1, 'x')",
	"insert into agentexec.activity_log (activity_id, message) select a.id, 'x' from agentexec.activity a where a.agent_id = $1",
	"update agentexec.activity set status = 'COMPLETE' where agent_id = $1",
	"update agentexec.activity_list set agent_type = 'x' where agent_id = $1",
	"delete from agentexec.activity where agent_id = $1",
	"delete from agentexec.activity_log where $1 is not null",
	"select pg_catalog.nextval('agentexec.activity_log_id_seq') from (select $1) x",
	"select agentexec._transition($1, 5, 'RUNNING')",
	"select agentexec._append_change($1, 'x', 5, 'RUNNING', null)",
	"select agentexec._append_lines(array[$1]::pg_catalog.uuid[], '{x}', '{5}', '{null}', '{null}')",
	"select agentexec._lock_in_scope($1)",
	"update agentexec.schema_version set version = 9 where $1 is not null",
	"create table agentexec.mine (id pg_catalog.uuid default $1)",
	"alter table agentexec.activity disable row level security",
	"drop policy activity_scope on agentexec.activity",
	"create or replace function agentexec.pending_ids() returns setof pg_catalog.uuid language sql as 'select null::pg_catalog.uuid'",
}

func requireForbidden(t *testing.T, conn *pgx.Conn, call string, agent uuid.UUID) {
	t.Helper()
	_, err := conn.Exec(t.Context(), strings.ReplaceAll(call, "$1", "'"+agent.String()+"'"), pgx.QueryExecModeSimpleProtocol)
	require.Error(t, err, call)
	require.Equal(t, "42501", code(err), "%s: %v", call, err)
}

func TestRolesMayDoTheirWork(t *testing.T) {
	t.Parallel()
	b := setupRoles(t, true)
	may := func(conn *pgx.Conn, allowed bool, calls map[string]string) {
		t.Helper()
		for name, call := range calls {
			_, err := conn.Exec(t.Context(), call, b.in("RUNNING"))
			if allowed {
				require.NoError(t, err, name)
			} else {
				requireRefused(t, err, "42501")
			}
		}
	}
	worker, _ := login(t, b.db, asWorker)
	reader, _ := login(t, b.db, asReader)
	sidecar, _ := login(t, b.db, asSidecar)
	outsider, _ := login(t, b.db)
	may(worker, true, writers)
	may(worker, false, readers)
	may(reader, false, writers)
	may(reader, true, readers)
	may(sidecar, true, writers)
	may(sidecar, true, readers)
	may(outsider, false, writers)
	may(outsider, false, readers)
	may(worker, true, map[string]string{"the line as the client reads it": "select agentexec._log_json(l) from agentexec.append_log($1, 'x') l"})
	may(worker, false, map[string]string{"a table": "select * from agentexec.activity_log where $1::uuid is not null"})
	may(sidecar, true, map[string]string{"schema_version": "select * from agentexec.schema_version where $1::uuid is not null"})
	for _, conn := range []*pgx.Conn{worker, reader, sidecar, outsider} {
		for _, call := range directly {
			requireForbidden(t, conn, call, b.in("RUNNING"))
		}
	}
	require.Empty(t, all[string](t, b.pool, `select p.oid::regprocedure::text from pg_proc p
		where p.pronamespace = 'agentexec'::regnamespace and has_function_privilege('public', p.oid, 'execute')
		and (p.prosecdef or p.proname not like '\_%')`), "what is open to all only computes")
}

// Asking twice changes nothing, and neither does another schema, whose rights add up.
func TestRolesTwiceAndInAnotherSchema(t *testing.T) {
	t.Parallel()
	b := setupRoles(t, true)
	conn := b.db.Conn(t)
	rights := func() []string {
		return all[string](t, conn, `select c.relname || coalesce(c.relacl::text, '') from pg_class c where c.relnamespace = 'agentexec'::regnamespace
			union all select p.proname || coalesce(p.proacl::text, '') from pg_proc p where p.pronamespace = 'agentexec'::regnamespace
			union all select p::text from pg_policies p where p.schemaname = 'agentexec' order by 1`)
	}
	before := rights()
	opts := &migrate.Options{Roles: true, RowSecurity: true}
	require.NoError(t, migrate.Up(t.Context(), conn, opts))
	require.Equal(t, before, rights())
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	require.Equal(t, before, rights(), "without the options what there is stays")
	opts.Schema = "order"
	require.NoError(t, migrate.Up(t.Context(), conn, opts))
	require.Equal(t, before, rights())
	worker, _ := login(t, b.db, asWorker)
	for _, schema := range []string{"agentexec", `"order"`} {
		_, err := worker.Exec(t.Context(), "select "+schema+".create_activity('x')")
		require.NoError(t, err)
	}
}

// The printed SQL makes them too.
func TestRolesPrinted(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	var sql strings.Builder
	require.NoError(t, migrate.Print(&sql, &migrate.Options{Roles: true, RowSecurity: true}))
	_, err := db.Conn(t).PgConn().Exec(t.Context(), sql.String()).ReadAll()
	require.NoError(t, err)
	reader, _ := login(t, db, asReader)
	require.Equal(t, 0, one[int](t, reader, "select agentexec.count_active()"))
	require.True(t, one[bool](t, reader, "select row_security_active('agentexec.activity')"))
}

// A migrator that is no superuser can make the roles if it may create roles, and go on without where they are there.
func TestRolesOfAnOrdinaryMigrator(t *testing.T) {
	t.Parallel()
	setupRoles(t, false) // so that they are there
	db := pgtest.Empty(t)
	migrator, name := login(t, db)
	db.Exec(t, fmt.Sprintf("grant create on database %s to %s", db.Name, name))
	pool := db.Pool(t)
	opts := &migrate.Options{Roles: true, RowSecurity: true}

	// The other tests need the roles, so this test makes its own under other names.
	names := strings.NewReplacer("agentexec_worker", name+"_w", "agentexec_reader", name+"_r", "agentexec_sidecar", name+"_s")
	var sql strings.Builder
	require.NoError(t, migrate.Print(&sql, opts))
	renamed := names.Replace(sql.String())
	t.Cleanup(func() {
		for _, role := range []string{"_w", "_r", "_s"} {
			_, _ = db.Conn(t).Exec(context.Background(), "drop owned by "+name+role+"; drop role if exists "+name+role)
		}
	})
	_, err := migrator.PgConn().Exec(t.Context(), renamed).ReadAll()
	requireRefused(t, err, "42501", name+" may not create it")
	_, err = migrator.Exec(t.Context(), "rollback")
	require.NoError(t, err)
	db.Exec(t, "alter role "+name+" createrole")
	_, err = migrator.PgConn().Exec(t.Context(), renamed).ReadAll()
	require.NoError(t, err)
	reader, _ := login(t, db, name+"_r")
	require.Equal(t, 0, one[int](t, reader, "select agentexec.count_active()"))

	// Once the roles exist, CREATEROLE is not needed.
	db.Exec(t, "alter role "+name+" nocreaterole")
	require.NoError(t, migrate.Up(t.Context(), migrator, opts))
	worker, _ := login(t, db, asWorker)
	require.NotEmpty(t, one[string](t, worker, "select agentexec.create_activity('x')::text"))
	require.Equal(t, 1, one[int](t, pool, "select count(*) from agentexec.activity"))
}
