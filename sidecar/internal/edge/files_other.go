//go:build !unix

package edge

// MaxFiles is not known here.
func MaxFiles() int { return 0 }
