// Package problem owns the answers to requests that are refused or fail (RFC 9457): their codes, their headers, and the
// table that turns an error of Postgres into one of them.
//
// May import: pkg/client.
package problem
