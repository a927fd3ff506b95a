// Package input reads the query string and the JSON body of a request strictly. It collects all faults of a request, so that one
// answer names them all. It checks the types of values, and that Postgres can store them. SQL checks their bounds.
//
// May import: problem, pkg/client.
package input
