package sql_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func activityID(b *bundle, agent uuid.UUID) uuid.UUID {
	b.Helper()
	return one[uuid.UUID](b.T, b.pool, "select id from agentexec.activity where agent_id = $1", agent)
}

// INSERT on the log is the only right an ORM's role needs; more rights do not let it number lines itself.
func TestInsertByAnotherRole(t *testing.T) {
	t.Parallel()
	for name, grants := range map[string][]string{
		"OnlyInsert": {useSchema, insertLog},
		"GrantAll": {useSchema, "grant all on all tables in schema agentexec to %s", "grant all on all sequences in schema agentexec to %s",
			executeAll},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := setupOwned(t)
			conn, _ := role(t, b.db, grants...)
			agent := b.in("RUNNING")
			id := activityID(b, agent)

			insert := func(columns, values string) error {
				_, err := conn.Exec(t.Context(), fmt.Sprintf("insert into agentexec.activity_log (activity_id, message%s) values ('%s', 'x'%s)",
					columns, id, values))
				return err
			}
			before := contents(t, b.pool)
			for columns, values := range map[string]string{
				", id": ", 1", ", seq": ", 3", ", id, seq": ", 1000, 3", ", seq, status, created_at": ", 3, 'RUNNING', now()",
			} {
				requireRefused(t, insert(columns, values), "42501", "id and seq", "owner")
			}
			requireRefused(t, insert(", percentage", ", 101"), "TA422", "percentage")
			require.Equal(t, before, contents(t, b.pool))

			require.NoError(t, insert("", ""))
			require.NoError(t, insert(", status, percentage, data", ", 'QUEUED', 7, '{}'"))
			require.NoError(t, insert(", id, seq", ", null, null"))
			// created_at and xid are set by the database, also where the insert gives them.
			require.NoError(t, insert(", created_at, xid", ", '2001-01-01', '3'"))
			require.Equal(t, 6, readActivity(t, b.pool, agent).LastSeq)
			require.True(t, one[bool](t, b.pool, `select l.created_at > now() - interval '1 hour' and l.xid > 3
				from agentexec.activity_log l where l.seq = 6`))

			_, err := conn.CopyFrom(t.Context(), pgx.Identifier{"agentexec", "activity_log"}, []string{"activity_id", "message"},
				pgx.CopyFromRows([][]any{{id, "copied 1"}, {id, "copied 2"}}))
			require.NoError(t, err)
			_, err = conn.CopyFrom(t.Context(), pgx.Identifier{"agentexec", "activity_log"}, []string{"activity_id", "message", "seq"},
				pgx.CopyFromRows([][]any{{id, "copied 3", int32(9)}}))
			requireRefused(t, err, "42501")
			require.Equal(t, 8, readActivity(t, b.pool, agent).LastSeq)

			require.NoError(t, insert(", status", ", 'COMPLETE'"))
			require.NoError(t, insert("", ""))
			requireRefused(t, insert(", status", ", 'RUNNING'"), "TA409", "COMPLETE", "RUNNING")
		})
	}
}

// The owner gives id and seq both, for a restore; one alone would run against the other.
func TestOwnerGivesIDAndSeqTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := activityID(b, b.in("RUNNING"))
	before := contents(t, b.pool)
	_, err := b.pool.Exec(t.Context(), "insert into agentexec.activity_log (id, activity_id, message) values (1000, $1, 'x')", id)
	requireRefused(t, err, "42501", "both together")
	_, err = b.pool.Exec(t.Context(), "insert into agentexec.activity_log (activity_id, seq, message, status, created_at) values ($1, 9, 'x', 'RUNNING', now())", id)
	requireRefused(t, err, "23502")
	require.Equal(t, before, contents(t, b.pool))
	b.exec("select setval('agentexec.activity_log_id_seq', 1000)")
	b.exec(`with a as (update agentexec.activity set last_seq = 3 where id = $1 returning *)
		insert into agentexec.activity_log (id, activity_id, seq, message, status, created_at) select 1000, a.id, 3, 'x', a.status, a.updated_at from a`, id)
}

// Each insert looks up the current owner, because the tables may go to another role.
func TestFormerOwnerGivesNeitherIDNorSeq(t *testing.T) {
	t.Parallel()
	b, former := setupOwned(t)
	agent := b.in("RUNNING")
	id := activityID(b, agent)
	_, next := role(t, b.db)
	b.exec(fmt.Sprintf("reassign owned by %s to %s", former, next))
	b.exec(fmt.Sprintf("grant usage on schema agentexec to %[1]s; grant insert on agentexec.activity_log to %[1]s", former))
	conn := b.db.Conn(t)
	_, err := conn.Exec(t.Context(), "set session authorization "+former)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "insert into agentexec.activity_log (id, activity_id, seq, message, status, created_at) values (1000, $1, 3, 'x', 'RUNNING', now())", id)
	requireRefused(t, err, "42501", "owner")
	_, err = conn.Exec(t.Context(), "insert into agentexec.activity_log (activity_id, message) values ($1, 'x')", id)
	require.NoError(t, err)
	require.Equal(t, 3, readActivity(t, b.pool, agent).LastSeq)
	b.exec(fmt.Sprintf("reassign owned by %s to %s", next, former)) // or it would be gone with the role
}

// An ORM reads back what the database gave.
func TestInsertReturning(t *testing.T) {
	t.Parallel()
	b, _ := setupOwned(t)
	conn, _ := role(t, b.db, useSchema, insertLog, readTables)
	agent := b.in("RUNNING")
	var line logRow
	require.NoError(t, conn.QueryRow(t.Context(), `insert into agentexec.activity_log (activity_id, message) values ($1, 'x')
		returning id, seq, status::text, created_at`, activityID(b, agent)).Scan(&line.ID, &line.Seq, &line.Status, &line.CreatedAt))
	require.Equal(t, 3, line.Seq)
	require.Equal(t, "RUNNING", line.Status)
	require.Equal(t, readActivity(t, b.pool, agent).UpdatedAt, line.CreatedAt)
	require.Equal(t, line.ID, one[int64](t, b.pool, "select max(id) from agentexec.activity_log"))
}

// The rows of one statement are numbered in their order, and stand or fall together.
func TestInsertOfManyRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, two := b.in("RUNNING"), b.create("research")
	b.exec(`insert into agentexec.activity_log (activity_id, message, status)
		select a.id, 'row ' || n, case n when 3 then 'ERROR' when 4 then 'RUNNING' end::agentexec.status
		from generate_series(1, 5) n cross join agentexec.activity a order by n`)
	require.Equal(t, 7, readActivity(t, b.pool, one).LastSeq)
	require.Equal(t, 6, readActivity(t, b.pool, two).LastSeq)
	require.Equal(t, 2, readActivity(t, b.pool, two).Attempt)
	for n := 1; n <= 5; n++ {
		require.Equal(t, fmt.Sprint("row ", n), readLine(t, b.pool, two, n+1).Message)
	}
	before := contents(t, b.pool)
	_, err := b.pool.Exec(t.Context(), `insert into agentexec.activity_log (activity_id, message, status)
		select a.id, 'x', s::agentexec.status from agentexec.activity a, unnest('{ERROR,COMPLETE}'::text[]) s`)
	requireRefused(t, err, "TA409")
	require.Equal(t, before, contents(t, b.pool))
}

// The owner restores: what was copied out comes back with its id and seq, and numbering goes on from there.
func TestOwnerRestores(t *testing.T) {
	t.Parallel()
	b, owner := setupOwned(t)
	agents := []uuid.UUID{b.in("ERROR"), b.in("RUNNING"), b.in("CANCELED")}
	b.exec("select agentexec.append_log($1, e'tab\\tand\\nline', 50, 'RUNNING', '{}')", agents[0])

	// As the owner, as a member of the owner's role, and as a superuser who is neither.
	member, _ := role(t, b.db, "grant "+owner+" to %s")
	byOwner := b.db.Conn(t)
	_, err := byOwner.Exec(t.Context(), "set session authorization "+owner)
	require.NoError(t, err)
	for name, conn := range map[string]*pgx.Conn{"Owner": byOwner, "Member": member, "Superuser": b.db.Conn(t)} {
		before := contents(t, b.pool)
		var activities, lines bytes.Buffer
		for table, to := range map[string]*bytes.Buffer{"activity": &activities, "activity_log": &lines} {
			_, err := conn.PgConn().CopyTo(t.Context(), to, "copy agentexec."+table+" to stdout")
			require.NoError(t, err)
		}
		_, err := conn.Exec(t.Context(), "delete from agentexec.activity")
		require.NoError(t, err)
		require.Empty(t, contents(t, b.pool))
		_, err = conn.PgConn().CopyFrom(t.Context(), &activities, "copy agentexec.activity from stdin")
		require.NoError(t, err)
		_, err = conn.PgConn().CopyFrom(t.Context(), &lines, "copy agentexec.activity_log from stdin")
		require.NoError(t, err, name)
		require.Equal(t, before, contents(t, b.pool), name)

		b.exec("select agentexec.append_log($1, 'goes on')", agents[1])
	}

	// One line at a time as well.
	before := contents(t, b.pool)
	_, err = byOwner.Exec(t.Context(), `create temp table kept as table agentexec.activity_log;
		delete from agentexec.activity_log where seq > 1;
		insert into agentexec.activity_log select * from pg_temp.kept where seq > 1`)
	require.NoError(t, err)
	require.Equal(t, before, contents(t, b.pool))
}
