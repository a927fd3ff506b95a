// Package netconn controls the network connections of the feed: writes whose timeout is measured from the last byte taken,
// whole WebSocket frames written outside of gorilla, the kernel's send buffer, and the wait for a byte to read.
//
// It imports nothing of this module.
package netconn
