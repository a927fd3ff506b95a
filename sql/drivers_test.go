package sql_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The drivers that Python programs use call the functions with their own types, and an ORM adds lines. Debian's packages
// are python3-psycopg, python3-asyncpg, python3-sqlalchemy and python3-greenlet.
func TestPythonDrivers(t *testing.T) {
	t.Parallel()
	python := pythonWithDrivers(t)
	b := setup(t)
	out, err := exec.CommandContext(t.Context(), python, "testdata/drivers.py", b.db.URL).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
}

// pythonWithDrivers returns a Python that has the modules. Without one the test is skipped, or fails where CI is set.
func pythonWithDrivers(t *testing.T) string {
	t.Helper()
	var said []string
	for _, python := range []string{"python3", "/usr/bin/python3"} { // the first one in PATH may be another than the system's
		out, err := exec.CommandContext(t.Context(), python, "-c", "import psycopg, asyncpg, sqlalchemy, greenlet").CombinedOutput()
		if err == nil {
			return python
		}
		said = append(said, python+": "+err.Error()+" "+string(out))
	}
	require.Empty(t, os.Getenv("CI"), "no Python has the drivers: %s", strings.Join(said, "\n"))
	t.Skipf("no Python has the drivers: %s", strings.Join(said, "\n"))
	return ""
}
