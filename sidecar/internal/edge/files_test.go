package edge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
)

// TestConnectionsWithin: whatever the files, what is left of them is enough for Postgres, for those that are told to
// come back, and for the sidecar itself.
func TestConnectionsWithin(t *testing.T) {
	t.Parallel()
	for files := range 3000 {
		for _, pool := range []int{1, 8, 100} {
			for _, wanted := range []int{0, 1, 500, 1 << 20} {
				logged := &logtest.Buffer{}
				got, err := ConnectionsWithin(files, wanted, pool, logged.Logger())
				switch {
				case files == 0:
					require.NoError(t, err)
					require.Equal(t, map[bool]int{true: -1, false: wanted}[wanted == 0], got)
				case err != nil:
					require.Less(t, files, baseFiles+pool+leastConnections)
				default:
					require.Positive(t, got)
					require.GreaterOrEqual(t, files-got-placesToRefuse(got), baseFiles+pool, "%d files", files)
					require.True(t, got <= wanted || wanted == 0)
					require.Equal(t, wanted > got || wanted == 0 && files < fewFiles, logged.String() != "", "%d of %d files: %s", wanted, files, logged)
				}
			}
		}
	}
	off, err := ConnectionsWithin(10, -1, 8, nil)
	require.NoError(t, err)
	require.Equal(t, -1, off)
	many, err := ConnectionsWithin(1<<20, 0, 8, nil)
	require.NoError(t, err)
	require.Equal(t, 1<<20-usualReserve, many)
}
