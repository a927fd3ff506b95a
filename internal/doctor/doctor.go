// Package doctor examines an installation of agentexec in a database: what is wrong with it, and what to do about it. It changes
// nothing.
//
// May import: pkg/migrate, internal/pgurl.
package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// Level says how serious a finding is.
type Level string

// The levels of a finding.
const (
	OK Level = "ok"
	// Warning is something that will be a problem, or that an operator should know.
	Warning Level = "warning"
	// Problem is something that is wrong now.
	Problem Level = "problem"
)

// Finding is the result of one check.
type Finding struct {
	// Check is the name of the check, such as "schema".
	Check string `json:"check"`
	Level Level  `json:"level"`
	// Found is one sentence that says what was found.
	Found string `json:"found"`
	// Advice says what to do, "" where nothing is to be done.
	Advice string `json:"advice,omitempty"`
}

// examination is the state of one call of Examine.
type examination struct {
	conn   *pgx.Conn
	listen *pgx.ConnConfig
	schema string // plain
	found  []Finding
}

// Config says what to examine.
type Config struct {
	// Schema is the name of the schema.
	Schema string
	// Listen is the connection that a sidecar would LISTEN on. Default that of the examined database.
	Listen *pgx.ConnConfig
}

// check is one check. They run only on a schema that checkSchema found usable.
type check struct {
	name string
	run  func(ctx context.Context, e *examination) error
}

var checks = []check{
	{"drift", checkDrift},
	{"pooler", checkPooler},
	{"listener", checkListener},
	{"wake-up", checkWakeup},
	{"queue", checkQueue},
	{"foreign lines", checkForeignLines},
	{"roles", checkRoles},
	{"retention", checkRetention},
	{"sweep", checkSweep},
	{"stale", checkStale},
	{"cancels", checkCancels},
	{"heartbeats", checkHeartbeats},
	{"questions", checkQuestions},
}

// Examine runs all checks on the schema and returns their findings, at least one for each. An error of one check is a finding of
// it. Without a schema that this program can use, the check of the schema is the only one.
func Examine(ctx context.Context, conn *pgx.Conn, config Config) ([]Finding, error) {
	e := &examination{conn: conn, schema: config.Schema, listen: config.Listen}
	if e.listen == nil {
		e.listen = conn.Config()
		e.listen.OnNotification = nil // that of conn
	}
	usable, err := e.checkSchema(ctx)
	if err != nil || !usable {
		return e.found, err
	}
	for _, c := range checks {
		before := len(e.found)
		if err := c.run(ctx, e); err != nil {
			if ctx.Err() != nil || conn.IsClosed() {
				return e.found, fmt.Errorf("%s: %w", c.name, err)
			}
			e.add(Warning, "could not be checked: "+err.Error(), "give the role the rights of the owner or of agentexec_sidecar, and run it again")
		}
		for i := before; i < len(e.found); i++ {
			e.found[i].Check = c.name
		}
	}
	return e.found, nil
}

func (e *examination) add(level Level, found, advice string) {
	e.found = append(e.found, Finding{Level: level, Found: found, Advice: advice})
}

// in puts the name of the schema into a query.
func (e *examination) in(sql string) string {
	return strings.ReplaceAll(sql, "$schema", pgx.Identifier{e.schema}.Sanitize())
}

// one reads one row.
func (e *examination) one(ctx context.Context, sql string, into ...any) error {
	return e.conn.QueryRow(ctx, e.in(sql)).Scan(into...)
}

// checkSchema compares the schema with this program, and reports whether the other checks can run.
func (e *examination) checkSchema(ctx context.Context) (usable bool, err error) {
	status, err := migrate.Check(ctx, e.conn, &migrate.Options{Schema: e.schema})
	if err != nil {
		return false, err
	}
	level, text, advice := OK, status.String(), ""
	if status.State != migrate.Current {
		level = Problem
		text, advice, _ = strings.Cut(text, "; ")
	}
	e.found = append(e.found, Finding{Check: "schema", Level: level, Found: text, Advice: advice})
	for _, warning := range status.Warnings {
		text, advice, _ := strings.Cut(warning, "; ")
		e.found = append(e.found, Finding{Check: "schema", Level: Problem, Found: text, Advice: advice})
	}
	return status.Usable(), nil
}

func checkPooler(ctx context.Context, e *examination) error {
	pooled, standby, err := pgurl.BehindPooler(ctx, e.conn)
	switch {
	case err != nil:
		return err
	case standby:
		e.add(Problem, "this is a standby: nothing can be written here, and a sidecar does not start", "connect to the primary (target_session_attrs=read-write finds it)")
	case pooled:
		e.add(OK, "the connection goes through a pooler in transaction mode; LISTEN needs another one (see listener)", "")
	default:
		e.add(OK, "the connection goes directly to the primary", "")
	}
	return nil
}

func checkWakeup(ctx context.Context, e *examination) error {
	holders, err := migrate.Holders(ctx, e.conn, &migrate.Options{Schema: e.schema})
	if err != nil {
		return err
	}
	for _, h := range holders {
		if h.Foreign {
			text, advice, _ := strings.Cut(h.String(), "; ")
			e.add(Problem, text, advice)
			return nil
		}
	}
	if len(holders) == 0 {
		return e.noHolder(ctx)
	}
	e.add(OK, fmt.Sprintf("%q waits for notifications (mode notified)", holders[0].Application), "")
	return nil
}

// noHolder adds the finding where no session waits for notifications: a sidecar waits only while something is watched.
func (e *examination) noHolder(ctx context.Context) error {
	var tails, listeners int
	err := e.one(ctx, `
		select pg_catalog.count(*) filter (where s.application_name = 'agentexec tail')::pg_catalog.int4,
		       pg_catalog.count(*) filter (where s.application_name = 'agentexec listener')::pg_catalog.int4
		from pg_catalog.pg_stat_activity s where s.datname = pg_catalog.current_database()`, &tails, &listeners)
	switch {
	case err != nil:
		return err
	case tails == 0:
		e.add(Warning, "no sidecar is connected to this database, so nothing is shown live and nothing that is due is done", "start one: agentexec serve")
	case listeners == 0:
		e.add(Warning, count(tails, "sidecar")+" connected without a listener, so it reads on a timer (mode polling)",
			"look at its log and /readyz: LISTEN is off (AGENTEXEC_LISTEN), or the connection for it does not work")
	default:
		e.add(OK, count(tails, "sidecar")+" connected with a listener; nothing waits for a notification at this moment", "")
	}
	return nil
}

func checkQueue(ctx context.Context, e *examination) error {
	var usage float64
	if err := e.one(ctx, "select pg_catalog.pg_notification_queue_usage()", &usage); err != nil {
		return err
	}
	e.queue(usage)
	return nil
}

// queue adds the finding for a share of the notification queue, 0 to 1.
func (e *examination) queue(usage float64) {
	text := fmt.Sprintf("%.0f %% of the notification queue is in use", usage*100)
	if usage > 0.5 {
		e.add(Problem, text+": above 50 % no wake-up is sent, and when it is full every commit with a NOTIFY fails",
			"end the session that keeps a transaction open since LISTEN: select pid, xact_start, query from pg_stat_activity order by xact_start")
		return
	}
	e.add(OK, text, "")
}

func checkForeignLines(ctx context.Context, e *examination) error {
	var foreign bool
	err := e.one(ctx, "select exists (select from $schema.activity_log l where l.xid operator(pg_catalog.>=) pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot()))", &foreign)
	switch {
	case err != nil:
		return err
	case foreign:
		e.add(Warning, "lines were restored from a cluster with higher transaction ids", "nothing: sidecars read beyond them; clients that saw them elsewhere get a reset")
	default:
		e.add(OK, "all lines were written in this cluster", "")
	}
	return nil
}

func checkRoles(ctx context.Context, e *examination) error {
	var made int
	var public string // the tables to which every role has rights
	err := e.one(ctx, `select (select pg_catalog.count(*)::pg_catalog.int4 from pg_catalog.pg_roles r where r.rolname in ('agentexec_worker', 'agentexec_reader', 'agentexec_sidecar')),
		(select coalesce(pg_catalog.string_agg(distinct c.relname, ', '), '') from pg_catalog.pg_class c cross join lateral pg_catalog.aclexplode(c.relacl) a
		 where c.relnamespace = '$schema'::pg_catalog.regnamespace and a.grantee = 0
		   and c.relname in ('activity', 'activity_log', 'activity_heartbeat', 'question', 'retention'))`, &made, &public)
	switch {
	case err != nil:
		return err
	case public != "":
		e.add(Problem, "every role has rights to these tables, because PUBLIC has: "+public,
			e.in("revoke all on $schema.activity, $schema.activity_log, $schema.activity_heartbeat, $schema.question, $schema.retention from public"))
	case made < 3:
		e.add(OK, fmt.Sprintf("%d of the 3 roles agentexec_worker, agentexec_reader and agentexec_sidecar exist", made), "if workers should not connect as the owner: agentexec migrate --roles")
	default:
		e.add(OK, "the roles agentexec_worker, agentexec_reader and agentexec_sidecar exist", "")
	}
	return nil
}
