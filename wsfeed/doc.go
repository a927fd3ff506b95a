// Package wsfeed is the live feed: it hands every committed line of a watched activity to WebSocket and Server-Sent
// Events subscribers, in seq order, without loss or repetition, and keeps live lists current.
//
// A line comes in through Hub.Publish, finds its topic (topic.go), is encoded once and waits in the topic's ring. A
// subscription (subscription.go) knows only the last seq it sent. It pulls lines from the ring, and older ones from Postgres.
// So nothing is queued per socket: a slow socket costs no memory and slows no other, because the database is its buffer. A
// goroutine writes to a socket only while there is something to write (conn.go).
//
// May import: pkg/client, internal/jsonb, internal/backoff and the packages in wsfeed/internal. Never pgx: it reads Postgres through
// Source alone.
package wsfeed
