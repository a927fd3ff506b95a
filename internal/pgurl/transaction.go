package pgurl

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DB is a pool, a connection or a transaction of pgx.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// PerTransaction returns db for use behind a pooler in transaction mode, which gives every transaction another session. Each
// call also sends the session's settings, in the same round trip and the same implicit transaction, and they end with it. db
// must not be in a transaction.
func (s Session) PerTransaction(db DB) DB {
	settings := s.settings()
	var calls []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if !ofSession[name] {
			calls = append(calls, fmt.Sprintf("pg_catalog.set_config('%s', '%s', true)", name, settings[name]))
		}
	}
	calls = append(calls, fmt.Sprintf("case when pg_catalog.current_setting('server_version_num')::pg_catalog.int4 operator(pg_catalog.>=) %d "+
		"then pg_catalog.set_config('transaction_timeout', '0', true) end", transactionTimeoutSince*10000))
	return &perTransaction{db: db, first: []string{
		"set transaction isolation level read committed, not deferrable",
		"select " + strings.Join(calls, ", "),
	}}
}

type perTransaction struct {
	db    DB
	first []string
}

// SendBatch implements DB.
func (p *perTransaction) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	whole := &pgx.Batch{}
	for _, sql := range p.first {
		whole.Queue(sql)
	}
	whole.QueuedQueries = append(whole.QueuedQueries, b.QueuedQueries...)
	results := p.db.SendBatch(ctx, whole)
	for range p.first {
		if _, err := results.Exec(); err != nil {
			_ = results.Close()
			return &failedBatch{BatchResults: results, err: err}
		}
	}
	return results
}

func (p *perTransaction) one(ctx context.Context, sql string, args []any) pgx.BatchResults {
	b := &pgx.Batch{}
	b.Queue(sql, args...)
	return p.SendBatch(ctx, b)
}

// Exec implements DB.
func (p *perTransaction) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	results := p.one(ctx, sql, args)
	tag, err := results.Exec()
	if closed := results.Close(); err == nil {
		err = closed // the commit may fail
	}
	return tag, err
}

// Query implements DB.
func (p *perTransaction) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	results := p.one(ctx, sql, args)
	rows, err := results.Query()
	if err != nil {
		_ = results.Close()
		return nil, err
	}
	return &batchRows{Rows: rows, results: results}, nil
}

// QueryRow implements DB.
func (p *perTransaction) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := p.Query(ctx, sql, args...)
	return &batchRow{rows: rows, err: err}
}

// batchRows are rows that end their batch.
type batchRows struct {
	pgx.Rows
	results pgx.BatchResults
	ended   bool
	err     error
}

// Next implements pgx.Rows.
func (r *batchRows) Next() bool {
	next := r.Rows.Next()
	if !next {
		r.Close()
	}
	return next
}

// Close implements pgx.Rows.
func (r *batchRows) Close() {
	r.Rows.Close()
	if !r.ended {
		r.ended = true
		r.err = r.results.Close()
	}
}

// Err implements pgx.Rows.
func (r *batchRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

type batchRow struct {
	rows pgx.Rows
	err  error
}

// Scan implements pgx.Row.
func (r *batchRow) Scan(into ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(into...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// failedBatch is a batch whose settings failed.
type failedBatch struct {
	pgx.BatchResults
	err error
}

// Exec implements pgx.BatchResults.
func (f *failedBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, f.err }

// Query implements pgx.BatchResults.
func (f *failedBatch) Query() (pgx.Rows, error) { return nil, f.err }

// QueryRow implements pgx.BatchResults.
func (f *failedBatch) QueryRow() pgx.Row { return &batchRow{err: f.err} }

// Close implements pgx.BatchResults.
func (f *failedBatch) Close() error { return f.err }
