// Package database opens the sidecar's connections to Postgres: a pool for reads, a pool for writes, and direct connections for
// the tail and the listener. It sets every session's parameters, also behind a pooler.
//
// May import: internal/backoff, internal/pgurl.
package database
