package notify

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Holder is a session of Postgres that holds the wake-up lock.
type Holder struct {
	PID         int    `json:"pid"`
	Role        string `json:"role"`
	Application string `json:"application"` // application_name, which a session chooses freely
	// Foreign is true where the role has no USAGE of the schema: the session can be neither a sidecar nor a Watch. The
	// database cannot tell a session of any other role from them.
	Foreign bool `json:"-"`
}

// Holders returns the sessions that hold the wake-up lock of a schema, by its plain name. Writers hold it for moments.
func Holders(ctx context.Context, db DB, schema string) ([]Holder, error) {
	rows, err := db.Query(ctx, `
		select l.pid, coalesce(a.usename::text, '?') as role, coalesce(a.application_name, '') as application,
		       not coalesce(pg_catalog.has_schema_privilege(a.usesysid, n.oid, 'usage'), true) as foreign
		from pg_catalog.pg_class c
		join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		join pg_catalog.pg_locks l on l.objid = c.oid
		join pg_catalog.pg_database d on d.oid = l.database and d.datname = pg_catalog.current_database()
		left join pg_catalog.pg_stat_activity a on a.pid = l.pid
		where n.nspname = $1::text and c.relname = 'activity_log'
		  and l.locktype = 'advisory' and l.classid = $2::bigint and l.objsubid = 2 and l.granted
		order by l.pid`, schema, lockClass)
	if err != nil {
		return nil, fmt.Errorf("looking for holders of the wake-up lock: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Holder])
}
