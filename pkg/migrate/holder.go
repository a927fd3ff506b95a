package migrate

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// wakeupLock is the first half of the key of the wake-up lock; the other is the oid of activity_log (sql/functions.sql).
const wakeupLock = 1635271269

// Holder is a session that holds the wake-up lock, as a sidecar and a Watch do while they wait to be notified.
type Holder struct {
	PID         int
	Role        string
	Application string // application_name, which a session chooses freely
	// Foreign is true where the role has no USAGE of the schema: it can be neither a sidecar nor a Watch, and keeps both
	// from the lock, so that they read on a timer. Of other roles the database cannot tell.
	Foreign bool
}

// String says who it is, and what to do about a foreign one.
func (h Holder) String() string {
	who := fmt.Sprintf("pid %d (role %s, application %q)", h.PID, h.Role, h.Application)
	if !h.Foreign {
		return "the wake-up lock is held by " + who
	}
	return fmt.Sprintf("the wake-up lock is held by %s, which may not use the schema, so that sidecars read on a timer; "+
		"end it with: select pg_terminate_backend(%d), and revoke CONNECT from the role", who, h.PID)
}

// Holders returns the sessions that hold the wake-up lock of a schema that is installed. Writers hold it for moments.
func Holders(ctx context.Context, conn *pgx.Conn, opts *Options) ([]Holder, error) {
	s, err := load(opts)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, `
		select l.pid, coalesce(a.usename::text, '?') as role, coalesce(a.application_name, '') as application,
		       not coalesce(pg_catalog.has_schema_privilege(a.usesysid, n.oid, 'usage'), true) as foreign
		from pg_catalog.pg_class c
		join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		join pg_catalog.pg_locks l on l.objid = c.oid
		join pg_catalog.pg_database d on d.oid = l.database and d.datname = pg_catalog.current_database()
		left join pg_catalog.pg_stat_activity a on a.pid = l.pid
		where n.nspname = $1 and c.relname = 'activity_log'
		  and l.locktype = 'advisory' and l.classid = $2 and l.objsubid = 2 and l.granted
		order by l.pid`, s.name, wakeupLock)
	if err != nil {
		return nil, fmt.Errorf("looking for holders of the wake-up lock: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Holder])
}
