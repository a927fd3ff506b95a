//go:build unix

package sidecar

import (
	"math"
	"syscall"
)

// maxFiles is how many files this process may have open, 0 where that is not known. Go has raised the limit as far as
// it may.
func maxFiles() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return int(min(uint64(l.Cur), math.MaxInt32)) //nolint:unconvert // on some systems it is signed
}
