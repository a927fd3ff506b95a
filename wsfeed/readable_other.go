//go:build !unix

package wsfeed

// readable cannot tell, so that a read has to wait by itself.
func readable(uintptr) bool { return true }
