package sql_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// functions are the public functions as the contract lists them, the way Postgres spells them.
var functions = map[string][2]string{ // name: arguments, result
	"create_activity": {"task_name text, message text DEFAULT 'Agent queued'::text, agent_id uuid DEFAULT NULL::uuid, " +
		"metadata jsonb DEFAULT NULL::jsonb, parent_agent_id uuid DEFAULT NULL::uuid", "uuid"},
	"append_log": {"agent_id uuid, message text, percentage double precision DEFAULT NULL::double precision, " +
		"status agentexec.status DEFAULT NULL::agentexec.status, data jsonb DEFAULT NULL::jsonb, at_seq integer DEFAULT NULL::integer",
		"agentexec.activity_log"},
	"append_logs": {"entries jsonb", "SETOF agentexec.append_result"},
	"heartbeat":   {"agent_id uuid, expect_every interval DEFAULT NULL::interval", "agentexec.heartbeat_result"},
	"sweep":       {"max_rows integer DEFAULT 1000", "jsonb"},
	"complete": {"agent_id uuid, message text DEFAULT 'Agent completed'::text, percentage double precision DEFAULT 100, " +
		"data jsonb DEFAULT NULL::jsonb", "agentexec.activity_log"},
	"error": {"agent_id uuid, message text DEFAULT 'Agent failed'::text, data jsonb DEFAULT NULL::jsonb", "agentexec.activity_log"},
	"cancel": {"agent_id uuid, message text DEFAULT 'Cancel requested'::text, grace interval DEFAULT '00:00:30'::interval, " +
		"requested_by text DEFAULT NULL::text, tree boolean DEFAULT false", "agentexec.activity_log"},
	"cancel_pending": {"agent_type text DEFAULT NULL::text, metadata_filter jsonb DEFAULT NULL::jsonb, " +
		"idle_for interval DEFAULT NULL::interval, message text DEFAULT 'Canceled'::text", "integer"},
	"list_activities": {"page integer DEFAULT 1, page_size integer DEFAULT 50, statuses agentexec.status[] " +
		"DEFAULT NULL::agentexec.status[], agent_type text DEFAULT NULL::text, metadata_filter jsonb DEFAULT NULL::jsonb, " +
		"after text DEFAULT NULL::text, include_metadata boolean DEFAULT false, stale boolean DEFAULT NULL::boolean, " +
		"sort text DEFAULT 'created'::text, \"order\" text DEFAULT 'desc'::text, since timestamp with time zone DEFAULT NULL::timestamp with time zone, " +
		"until timestamp with time zone DEFAULT NULL::timestamp with time zone, id_prefix text DEFAULT NULL::text, " +
		"parent_agent_id uuid DEFAULT NULL::uuid, root_agent_id uuid DEFAULT NULL::uuid, roots_only boolean DEFAULT false, waiting boolean DEFAULT NULL::boolean, stopping boolean DEFAULT NULL::boolean", "jsonb"},
	"ask":          {"agent_id uuid, key text, prompt text, schema jsonb DEFAULT NULL::jsonb, expires_in interval DEFAULT NULL::interval", "agentexec.question"},
	"answer":       {"agent_id uuid, key text, answer jsonb, answered_by text DEFAULT NULL::text", "agentexec.question"},
	"decline":      {"agent_id uuid, key text, answered_by text DEFAULT NULL::text", "agentexec.question"},
	"withdraw":     {"agent_id uuid, key text", "agentexec.question"},
	"get_question": {"agent_id uuid, key text", "agentexec.question"},
	"list_questions": {"state agentexec.question_state DEFAULT 'PENDING'::agentexec.question_state, agent_type text DEFAULT NULL::text, " +
		"metadata_filter jsonb DEFAULT NULL::jsonb, after text DEFAULT NULL::text, page_size integer DEFAULT 50, agent_id uuid DEFAULT NULL::uuid", "jsonb"},
	"set_retention": {"keep interval, agent_type text DEFAULT NULL::text, status agentexec.status DEFAULT NULL::agentexec.status", "void"},
	"prune": {"finished_before timestamp with time zone, agent_type text DEFAULT NULL::text, statuses agentexec.status[] " +
		"DEFAULT NULL::agentexec.status[], max_rows integer DEFAULT 1000, dry_run boolean DEFAULT false", "jsonb"},
	"activity_detail": {"agent_id uuid, metadata_filter jsonb DEFAULT NULL::jsonb, after_seq integer DEFAULT 0, " +
		"log_limit integer DEFAULT NULL::integer, include_metadata boolean DEFAULT false", "jsonb"},
	"count_active": {"metadata_filter jsonb DEFAULT NULL::jsonb", "bigint"},
	"pending_ids":  {"", "SETOF uuid"},

	// Not in the contract: the sidecar's.
	"count_by_status": {"agent_type text DEFAULT NULL::text, metadata_filter jsonb DEFAULT NULL::jsonb, " +
		"since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone, " +
		"parent_agent_id uuid DEFAULT NULL::uuid, root_agent_id uuid DEFAULT NULL::uuid, roots_only boolean DEFAULT false, waiting boolean DEFAULT NULL::boolean, stopping boolean DEFAULT NULL::boolean", "jsonb"},
	"stats": {"since timestamp with time zone DEFAULT (statement_timestamp() - '01:00:00'::interval), bucket interval DEFAULT '00:01:00'::interval", "jsonb"},
}

func TestFunctionsAreTheContracts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rows, err := b.pool.Query(t.Context(), `select p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid)
		from pg_proc p where p.pronamespace = 'agentexec'::regnamespace and not starts_with(p.proname, '_')`)
	require.NoError(t, err)
	got := map[string][2]string{}
	var name, arguments, result string
	_, err = pgx.ForEachRow(rows, []any{&name, &arguments, &result}, func() error {
		require.NotContains(t, got, name, "two functions of one name")
		got[name] = [2]string{arguments, result}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, functions, got)
}

func TestRelationsAreTheContracts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, []string{"QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCELED"},
		all[string](t, b.pool, "select unnest(enum_range(null::agentexec.status))::text"))

	for relation, columns := range map[string][]string{
		"activity": {
			"id uuid not null", "agent_id uuid not null", "agent_type text not null", "status agentexec.status not null",
			"latest_percentage integer", "last_seq integer not null", "attempt integer not null", "metadata jsonb",
			"created_at timestamp with time zone not null", "started_at timestamp with time zone",
			"updated_at timestamp with time zone not null", "finished_at timestamp with time zone",
			"cancel_seq integer", "cancel_force_at timestamp with time zone", "cancel_forced boolean not null",
			"parent_agent_id uuid", "root_agent_id uuid", "depth integer not null", "open_questions integer not null",
		},
		"question": {
			"activity_id uuid not null", "key text not null", "prompt text not null", "schema jsonb", "state agentexec.question_state not null",
			"answer jsonb", "answered_by text", "asked_at timestamp with time zone not null", "expires_at timestamp with time zone",
			"closed_at timestamp with time zone",
		},
		"retention": {"agent_type text", "status agentexec.status", "keep interval not null"},
		"activity_log": {
			"id bigint not null", "activity_id uuid not null", "seq integer not null", "message text not null",
			"status agentexec.status not null", "percentage integer", "data jsonb",
			"created_at timestamp with time zone not null",
			"xid bigint not null", // not in the contract: for readers whose position is a pg_snapshot
			"attempt integer not null", "cancel_requested boolean not null",
		},
		"activity_list": {
			"agent_id uuid", "agent_type text", "status agentexec.status", "latest_log text", "latest_percentage integer",
			"last_seq integer", "attempt integer", "created_at timestamp with time zone",
			"started_at timestamp with time zone", "updated_at timestamp with time zone",
			"finished_at timestamp with time zone", "metadata jsonb", "last_seen_at timestamp with time zone", "expect_every interval",
			"stale boolean", "cancel_requested boolean",
		},
		"activity_heartbeat": {
			"activity_id uuid not null", "beat_at timestamp with time zone not null", "expect_every interval not null",
		},
	} {
		require.Equal(t, columns, all[string](t, b.pool, `
			select a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
			from pg_attribute a where a.attrelid = ('agentexec.' || $1)::regclass and a.attnum > 0 and not a.attisdropped
			order by a.attnum`, relation), relation)
	}

	require.ElementsMatch(t, []string{
		"activity: PRIMARY KEY (id)",
		"activity: UNIQUE (agent_id)",
		"activity_log: FOREIGN KEY (activity_id) REFERENCES agentexec.activity(id) ON DELETE CASCADE",
		"activity_log: PRIMARY KEY (id)",
		"activity_log: UNIQUE (activity_id, seq)",
	}, all[string](t, b.pool, `select c.relname || ': ' || pg_get_constraintdef(k.oid)
		from pg_constraint k join pg_class c on c.oid = k.conrelid
		where c.relname in ('activity', 'activity_log') and k.contype <> 'n'`))
}

// A deleted activity takes its lines with it.
func TestDeleteCascades(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gone, stays := b.in("RUNNING"), b.in("ERROR")
	b.exec("delete from agentexec.activity where agent_id = $1", gone)
	require.Equal(t, 3, one[int](t, b.pool, "select count(*) from agentexec.activity_log"))
	require.Equal(t, 3, readActivity(t, b.pool, stays).LastSeq)
	for _, d := range doors {
		requireRefused(t, d.write(t.Context(), b.pool, line{agent: gone, message: "late"}), "TA404", gone.String())
	}
}
