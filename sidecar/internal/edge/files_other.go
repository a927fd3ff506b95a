//go:build !unix

package edge

// MaxFiles returns 0: the limit is not known on this system.
func MaxFiles() int { return 0 }
