// Package tail reads the new lines of one schema in order and hands them to a wsfeed.Hub.
//
// The listener (listener.go, listen_probe.go) receives wake-ups. The wake-up lease (wakeup_lease.go) makes writers send them. The
// tailer (tailer.go) reads what became visible since its position (read.go, position.go). The stale
// watcher (stale.go) finds the activities that became stale or are no longer stale, because no line tells that. A Tail runs all
// four.
//
// May import: database, metric, internal/backoff, internal/notify, internal/pgurl, wsfeed.
package tail
