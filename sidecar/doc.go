// Package sidecar is the service beside Postgres: it hears the bell (listener.go), reads what is new in order
// (tailer.go), feeds it to the sockets (wsfeed), and serves the HTTP API (api*.go), health and metrics. It owns no
// state: kill it at any moment, and clients go on from the last seq they saw.
//
// Import rule: wsfeed, pkg/client, pkg/migrate, ui; nothing of cmd or internal.
package sidecar
