package migrate_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
)

var update = flag.Bool("update", false, "write what is installed to testdata/schema.golden")

const golden = "testdata/schema.golden"

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// The golden file has the installed schema, so that a review shows each change. After a change: go test ./pkg/migrate -update
func TestGoldenSchema(t *testing.T) {
	t.Parallel()
	conn := pgtest.Empty(t).Conn(t)
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	got := dump(t, conn, migrate.DefaultSchema)
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "if this is meant: go test ./pkg/migrate -run Golden -update")
}
