package sqlcall

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The setting lasts until the end of the transaction. A call has a transaction of its own, unless it runs in the caller's:
// there the earlier scope is restored after it. If the call fails, the rollback restores it.
const (
	enterScope = `select pg_catalog.set_config('agentexec.scope', $1::pg_catalog.text, true)`
	swapScope  = `select pg_catalog.set_config('agentexec.scope', $1::pg_catalog.text, pg_catalog.set_config('agentexec.outer_scope',
		coalesce(pg_catalog.current_setting('agentexec.scope', true), ''), true) is not null)`
	leaveScope = `select pg_catalog.set_config('agentexec.scope', pg_catalog.current_setting('agentexec.outer_scope'), true)`
)

// inScope runs a query in a scope, in one round trip and one transaction, so it also works behind a pooler.
func inScope(ctx context.Context, db DB, scope, sql string, args []any, take func(pgx.Rows) error) error {
	sender, ok := db.(interface {
		SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	})
	if !ok {
		return invalid("WithScope works on a *pgxpool.Pool, a *pgx.Conn or a pgx.Tx")
	}
	b := &pgx.Batch{}
	if _, alone := db.(*pgxpool.Pool); alone {
		b.Queue(enterScope, scope)
		b.Queue(sql, args...)
	} else {
		b.Queue(swapScope, scope)
		b.Queue(sql, args...)
		b.Queue(leaveScope)
	}
	results := sender.SendBatch(ctx, b)
	_, err := results.Exec()
	if err == nil {
		var rows pgx.Rows
		if rows, err = results.Query(); err == nil {
			err = take(rows)
		}
	}
	if closed := results.Close(); err == nil {
		err = closed // a commit may fail
	}
	return err
}
