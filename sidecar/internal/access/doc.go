// Package access decides who may make a request: tokens and their grants, tickets, origins, hosts, trusted proxies, and the
// number of requests a second. SQL applies the scope of a grant, not this package.
//
// May import: problem, internal/auth, wsfeed.
package access
