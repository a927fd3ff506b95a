// Package plant creates objects that an attacker could place on a search_path: functions, operators, tables and types
// that shadow those of pg_catalog, or that Postgres prefers to them because their argument types match exactly. Each
// planted function counts its call and raises an error, so a test can show that none of them runs.
//
// May import: pgx.
package plant

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed objects.sql
	objects string
	//go:embed relations.sql
	relations string
)

// In plants functions, operators, tables and types into schema, as the current role of conn. The role needs USAGE and
// CREATE on schema, and USAGE on the schema agentexec.
func In(ctx context.Context, conn *pgx.Conn, schema string) error {
	for _, sql := range []string{objects, relations} {
		if err := run(ctx, conn, sql, schema); err != nil {
			return err
		}
	}
	return nil
}

// Temp plants tables, and so types, into pg_temp of conn's session. Postgres looks up no functions or operators there.
func Temp(ctx context.Context, conn *pgx.Conn) error {
	return run(ctx, conn, relations, "pg_temp")
}

// Calls returns the number of calls of planted functions of the schemas, including those in transactions that were rolled
// back. conn may be of any role with USAGE on the schemas.
func Calls(ctx context.Context, conn *pgx.Conn, schemas ...string) (int64, error) {
	var sum int64
	for _, schema := range schemas {
		var calls int64
		sequence := pgx.Identifier{schema, "planted_calls"}.Sanitize()
		err := conn.QueryRow(ctx, "select case when s.is_called then s.last_value else 0 end from "+sequence+" s").Scan(&calls)
		if err != nil {
			return 0, fmt.Errorf("reading the calls of planted functions: %w", err)
		}
		sum += calls
	}
	return sum, nil
}

func run(ctx context.Context, conn *pgx.Conn, sql, schema string) error {
	if _, err := conn.Exec(ctx, strings.ReplaceAll(sql, "$schema", pgx.Identifier{schema}.Sanitize())); err != nil {
		return fmt.Errorf("planting into %s: %w", schema, err)
	}
	return nil
}
