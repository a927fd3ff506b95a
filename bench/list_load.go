package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// liveActivities are QUEUED and as many RUNNING, the newest ones, however many there are in all.
const liveActivities = 1000

const linesPerActivity = 10

// filling is the SQL that makes the activities: a second apart, the newest ones live, the rest finished; an
// organisation has 1,000 of them. And their lines: ten each, one after the other, each a little later than the one before.
//
// It is as much as the tables hold after a long life. The ids are as scattered as random ones and cost less to make.
func filling(activities int) []string {
	live := min(liveActivities, activities/10)
	return []string{
		fmt.Sprintf(`insert into agentexec.activity (id, agent_id, agent_type, status, latest_percentage, last_seq, metadata,
			created_at, started_at, updated_at, finished_at)
		select md5('id ' || n)::uuid, md5('agent ' || n)::uuid, 'type ' || n %% 20, s.status::agentexec.status, case when n > %[1]d - %[2]d then 90 else 100 end, %[3]d,
			jsonb_build_object('org', (n %% greatest(%[1]d / 1000, 1))::text, 'ticket', n), t.at, t.at + interval '1 s', t.at + interval '10 s',
			case when n <= %[1]d - 2 * %[2]d then t.at + interval '10 s' end
		from generate_series(1, %[1]d) n
		cross join lateral (select timestamptz '2026-01-01' + n * interval '1 s' as at) t
		cross join lateral (select case when n > %[1]d - %[2]d then 'QUEUED' when n > %[1]d - 2 * %[2]d then 'RUNNING'
			when n %% 20 = 0 then 'CANCELED' when n %% 10 = 1 then 'ERROR' else 'COMPLETE' end as status) s`,
			activities, live, linesPerActivity),
		fmt.Sprintf(`insert into agentexec.activity_log (id, activity_id, seq, message, status, percentage, created_at)
		select row_number() over (), a.id, l.seq, 'step ' || l.seq || ' finished: 42 files hashed, nothing unusual',
			case when a.status = 'QUEUED' or l.seq = 1 then 'QUEUED' when l.seq < %[1]d then 'RUNNING' else a.status end,
			least(l.seq * 10, a.latest_percentage), a.created_at + (l.seq - 1) * interval '1 s'
		from (select * from agentexec.activity order by created_at) a cross join generate_series(1, %[1]d) l(seq)`, linesPerActivity),
		`select setval('agentexec.activity_log_id_seq', (select max(id) from agentexec.activity_log))`,
	}
}

// pythonTables are those of the Python library, with its indexes, and the same rows.
var pythonTables = []string{
	`create type status as enum ('QUEUED', 'RUNNING', 'COMPLETE', 'ERROR', 'CANCELED')`,
	`create table agentexec_activity (id uuid not null, agent_id uuid not null, agent_type varchar(255),
		created_at timestamptz not null, updated_at timestamptz not null, metadata json)`,
	`create table agentexec_activity_log (id uuid not null, activity_id uuid not null, message text not null, status status not null,
		percentage integer, created_at timestamptz not null)`,
	`insert into agentexec_activity select id, agent_id, agent_type, created_at, created_at, metadata::json
		from agentexec.activity order by created_at`,
	`insert into agentexec_activity_log select md5(id::text)::uuid, activity_id, message, status::text::status, percentage, created_at
		from agentexec.activity_log order by id`,
	`alter table agentexec_activity add primary key (id)`,
	`create unique index on agentexec_activity (agent_id)`,
	`alter table agentexec_activity_log add primary key (id)`,
	`alter table agentexec_activity_log add foreign key (activity_id) references agentexec_activity (id)`,
}

// load fills the tables of a fresh schema, in sets and as the owner, with the indexes taken down meanwhile. reshape is SQL that runs
// before they are put up again.
func load(ctx context.Context, url string, activities int, python bool, reshape ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	began := time.Now()
	_, err = conn.Exec(ctx, `set maintenance_work_mem = '1GB'; set max_parallel_maintenance_workers = 2; set work_mem = '256MB'`)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		down, up, err := indexDDL(ctx, tx)
		if err != nil {
			return err
		}
		steps := append(down, `alter table agentexec.activity_log disable trigger user`,
			`truncate agentexec.activity, agentexec.activity_log, agentexec.activity_heartbeat`) // emptied in this transaction, so not logged at wal_level minimal
		steps = slices.Concat(steps, filling(activities), reshape, up)
		steps = append(steps, `alter table agentexec.activity_log enable trigger user`)
		if python {
			steps = append(steps, pythonTables...)
		}
		for _, sql := range steps {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%.60s: %w", sql, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, sql := range []string{`vacuum (analyze)`, `checkpoint`} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := prewarm(ctx, conn); err != nil {
		return err
	}
	fmt.Printf("loaded %d activities and %d lines in %s\n", activities, activities*linesPerActivity, time.Since(began).Round(time.Second))
	return nil
}

// prewarm reads the schema's tables and indexes into memory, so that what is measured is no disk.
func prewarm(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, `create extension if not exists pg_prewarm`); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, `select pg_prewarm(c.oid) from pg_class c where c.relnamespace = 'agentexec'::regnamespace and c.relkind in ('r', 'i')`)
	return err
}

// indexDDL is how to take the constraints and indexes of the three tables down, and how to put them up again: primary
// keys before foreign keys.
func indexDDL(ctx context.Context, tx pgx.Tx) (down, up []string, err error) {
	rows, err := tx.Query(ctx, `
		select format('alter table %s drop constraint %I cascade', k.conrelid::regclass, k.conname),
		       format('alter table %s add constraint %I %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid)),
		       case k.contype when 'f' then 3 else 1 end
		from pg_constraint k where k.conrelid in ('agentexec.activity'::regclass, 'agentexec.activity_log'::regclass, 'agentexec.activity_heartbeat'::regclass) and k.contype in ('p', 'u', 'f')
		union all
		select format('drop index %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid), 2
		from pg_index i where i.indrelid in ('agentexec.activity'::regclass, 'agentexec.activity_log'::regclass, 'agentexec.activity_heartbeat'::regclass)
		  and not exists (select from pg_constraint k where k.conindid = i.indexrelid)
		order by 3`)
	if err != nil {
		return nil, nil, err
	}
	var drop, create string
	var order int
	_, err = pgx.ForEachRow(rows, []any{&drop, &create, &order}, func() error {
		down, up = append([]string{strings.Replace(drop, "drop constraint", "drop constraint if exists", 1)}, down...), append(up, create)
		return nil
	})
	return down, up, err
}
