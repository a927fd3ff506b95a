// Package sidecar is the service beside Postgres: it receives wake-ups (listener.go), reads new lines in order
// (tailer.go), feeds them to the sockets (wsfeed), and serves the HTTP API (api*.go), health and metrics. It owns no
// state: kill it at any moment, and clients go on from the last seq they saw.
//
// Import rule: wsfeed, pkg/client, pkg/migrate, ui; nothing of cmd or internal.
package sidecar
