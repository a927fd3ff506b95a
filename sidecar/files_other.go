//go:build !unix

package sidecar

// maxFiles is not known here.
func maxFiles() int { return 0 }
