// Package edge handles a connection before a request is routed: the limit of open connections, the time limit of headers, TLS,
// the path prefix under which clients reach the service, and the headers of every answer.
//
// May import: problem.
package edge
