package wsfeed

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSendBuffer: the kernel's half is no more than that, bookkeeping included.
func TestSendBuffer(t *testing.T) {
	t.Parallel()
	b, l := gated(t)
	b.open(t)
	raw, err := l.last().SyscallConn()
	require.NoError(t, err)
	var size int
	require.NoError(t, raw.Control(func(fd uintptr) {
		size, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF)
	}))
	require.NoError(t, err)
	require.Equal(t, b.hub.cfg.InFlightBytes/2, size)
}
