// Package edge owns what happens on a connection before a request is routed: the limit of open connections, the time that
// headers may take, TLS, and the headers that every answer has.
//
// May import: problem.
package edge
