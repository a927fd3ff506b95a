package migrate_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
)

func printed(t *testing.T, opts *migrate.Options) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, migrate.Print(&b, opts))
	return b.String()
}

// The printed SQL makes what Up makes, and Up takes it for its own.
func TestPrintIsUp(t *testing.T) {
	t.Parallel()
	apply := map[string]func(t *testing.T, db *pgtest.Database, sql string){
		// psql sends statement by statement; the simple protocol takes the file as a whole.
		"SimpleProtocol": func(t *testing.T, db *pgtest.Database, sql string) {
			require.NoError(t, simple(t, db.Conn(t), sql))
		},
		"StatementByStatement": func(t *testing.T, db *pgtest.Database, sql string) {
			conn := db.Conn(t)
			for _, statement := range split(sql) {
				require.NoError(t, simple(t, conn, statement), statement)
			}
		},
	}
	if psql, err := exec.LookPath("psql"); err == nil {
		apply["Psql"] = func(t *testing.T, db *pgtest.Database, sql string) {
			file := filepath.Join(t.TempDir(), "install.sql")
			require.NoError(t, os.WriteFile(file, []byte(sql), 0o600))
			out, err := exec.CommandContext(t.Context(), psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", db.URL, "-f", file).CombinedOutput()
			require.NoError(t, err, string(out))
			require.Empty(t, string(out))
		}
	}
	for name, apply := range apply {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Empty(t)
			apply(t, db, printed(t, nil))
			requireFresh(t, db)
			conn := db.Conn(t)
			before := dump(t, conn, "agentexec")
			require.NoError(t, migrate.Up(t.Context(), conn, nil))
			require.Equal(t, before, dump(t, conn, "agentexec"))
			requireWorks(t, conn, "agentexec")
		})
	}
}

// On a database that has it already, the printed SQL changes nothing.
func TestPrintTwiceFailsWhole(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Conn(t)
	_, err := conn.Exec(t.Context(), "select agentexec.create_activity('x')")
	require.NoError(t, err)
	require.ErrorContains(t, simple(t, conn, printed(t, nil)), "already exists")
	require.NoError(t, simple(t, conn, "rollback"))
	requireFresh(t, db)
	require.Equal(t, 1, one[int](t, conn, "select count(*) from agentexec.activity"))
}

func TestPrintRefusesABadName(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.ErrorContains(t, migrate.Print(&b, &migrate.Options{Schema: "a-b"}), `"a-b"`)
	require.Zero(t, b.Len())
}

// simple sends sql by the simple protocol, which takes several statements.
func simple(t *testing.T, conn *pgx.Conn, sql string) error {
	t.Helper()
	_, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
	return err
}

// split cuts SQL into statements the way psql does: at semicolons that end a line, but not inside a dollar-quoted
// body or between begin atomic and its end.
func split(sql string) []string {
	var statements []string
	var b strings.Builder
	quoted, atomic := false, false
	for line := range strings.Lines(sql) {
		b.WriteString(line)
		quoted = quoted != (strings.Count(line, "$$")%2 == 1)
		switch line := strings.TrimRight(line, "\n"); {
		case strings.HasPrefix(line, "--"), quoted:
		case line == "begin atomic":
			atomic = true
		case line == "end;", !atomic && strings.HasSuffix(line, ";"):
			atomic = false
			statements = append(statements, b.String())
			b.Reset()
		}
	}
	return statements
}
