//go:build unix

package edge

import (
	"math"
	"syscall"
)

// MaxFiles returns how many files this process may have open, 0 where that is not known. Go has raised the limit as far as it
// may.
func MaxFiles() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return int(min(uint64(l.Cur), math.MaxInt32)) //nolint:unconvert // on some systems it is signed
}
