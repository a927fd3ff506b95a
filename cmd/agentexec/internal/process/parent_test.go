package process

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParentOf(t *testing.T) {
	t.Parallel()
	require.Equal(t, os.Getppid(), parentOf(t.Context(), os.Getpid()))
	require.Zero(t, parentOf(t.Context(), 1<<30)) // no process has this id
	require.True(t, isParent(t.Context(), 12345, 1<<30))
}
