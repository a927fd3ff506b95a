// Package edge handles a connection before a request is routed: the limit of open connections, the time limit of headers, TLS,
// and the headers of every answer.
//
// May import: problem.
package edge
