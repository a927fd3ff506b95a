// Package sidecar is the service beside Postgres. It assembles and runs its parts: the tail, which reads new lines in order
// (internal/tail), the feed (wsfeed), the HTTP API (internal/httpapi), health, metrics and the dashboard (ui). It keeps no
// state: after a restart, clients continue from the last seq they saw.
//
// May import: its internal packages, wsfeed, pkg/client, pkg/migrate, ui, internal/auth, internal/backoff,
// internal/budget, internal/notify, internal/pgurl.
package sidecar
