// Package httpapi is the HTTP API below /v1/ and its OpenAPI document. It turns a request into one call of pkg/client in the
// caller's scope, and answers the JSON that Postgres wrote. SQL checks values and the state machine.
//
// May import: access, edge, input, problem, internal/budget, internal/notify, internal/pgurl, pkg/client, wsfeed.
package httpapi
