package migrate_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// lock is the advisory lock that installers take.
const lock = 7091823441950217

func requireState(t *testing.T, conn *pgx.Conn, opts *migrate.Options, want migrate.State) migrate.Status {
	t.Helper()
	status, err := migrate.Check(t.Context(), conn, opts)
	require.NoError(t, err)
	require.Equal(t, want, status.State, status.String())
	return status
}

func TestUpTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	conn := db.Conn(t)
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	before := dump(t, conn, "agentexec")

	// Not even a lock: it would wait here for ever.
	_, err := db.Conn(t).Exec(t.Context(), "select pg_advisory_lock($1)", lock)
	require.NoError(t, err)
	tx, err := db.Conn(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select from agentexec.activity; select from agentexec.activity_log; lock agentexec.activity in row exclusive mode")
	require.NoError(t, err)
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	require.NoError(t, migrate.Up(t.Context(), conn, &migrate.Options{Schema: "agentexec"}))
	require.Equal(t, before, dump(t, conn, "agentexec"))
}

// Up leaves no lock behind, and the session with its settings.
func TestUpLeavesTheSessionAlone(t *testing.T) {
	t.Parallel()
	conn := pgtest.Empty(t).Conn(t)
	_, err := conn.Exec(t.Context(), "set search_path = public")
	require.NoError(t, err)
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	require.Zero(t, one[int](t, conn, "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"))
	require.Equal(t, "public", one[string](t, conn, "select current_setting('search_path')"))
	require.Equal(t, "0", one[string](t, conn, "select current_setting('lock_timeout')"))
}

// Ten at once, all of them seen waiting for the one that holds the lock: one installs, nine find it done.
func TestUpTenTimesAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	release := holdLock(t, db)
	g, ctx := errgroup.WithContext(t.Context())
	for range 10 {
		conn := db.Conn(t)
		g.Go(func() error { return migrate.Up(ctx, conn, nil) })
	}
	db.AwaitLockWaits(t, 10)
	release()
	require.NoError(t, g.Wait())
	requireFresh(t, db)
}

func TestUpWithoutWaitingForEachOther(t *testing.T) {
	t.Parallel()
	for range 2 {
		db := pgtest.Empty(t)
		g, ctx := errgroup.WithContext(t.Context())
		for range 10 {
			conn := db.Conn(t)
			g.Go(func() error { return migrate.Up(ctx, conn, nil) })
		}
		require.NoError(t, g.Wait())
		requireFresh(t, db)
	}
}

// envUpURL makes a process of this test's binary an installer.
const envUpURL = "AGENTEXEC_TEST_UP_URL"

func TestUpInTenProcesses(t *testing.T) {
	if url := os.Getenv(envUpURL); url != "" {
		conn, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		require.NoError(t, migrate.Up(t.Context(), conn, nil))
		return
	}
	t.Parallel()
	db := pgtest.Empty(t)
	release := holdLock(t, db)
	var g errgroup.Group
	for range 10 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestUpInTenProcesses$", "-test.count=1")
		cmd.Env = append(os.Environ(), envUpURL+"="+db.URL)
		g.Go(func() error {
			out, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w\n%s", err, out)
			}
			return nil
		})
	}
	db.AwaitLockWaits(t, 10)
	release()
	require.NoError(t, g.Wait())
	requireFresh(t, db)
}

// holdLock takes the installers' lock, and returns what releases it.
func holdLock(t *testing.T, db *pgtest.Database) (release func()) {
	t.Helper()
	conn := db.Conn(t)
	_, err := conn.Exec(t.Context(), "select pg_advisory_lock($1)", lock)
	require.NoError(t, err)
	return func() {
		t.Helper()
		_, err := conn.Exec(t.Context(), "select pg_advisory_unlock($1)", lock)
		require.NoError(t, err)
	}
}

// requireFresh checks that the schema is what a fresh installation makes.
func requireFresh(t *testing.T, db *pgtest.Database) {
	t.Helper()
	conn := db.Conn(t)
	requireState(t, conn, nil, migrate.Current)
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), dump(t, conn, "agentexec"))
}

// A canceled Up leaves the lock and the schema to other sessions.
func TestUpCanceledWhileWaiting(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	release := holdLock(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	conn, failed := db.Conn(t), make(chan error, 1)
	go func() { failed <- migrate.Up(ctx, conn, nil) }()
	db.AwaitLockWaits(t, 1)
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	release()
	other := db.Conn(t)
	requireState(t, other, nil, migrate.Missing)
	require.NoError(t, migrate.Up(t.Context(), other, nil))
	requireFresh(t, db)
}

// A role that may not create a schema is told so; one that may becomes the owner of everything.
func TestUpByAnOrdinaryRole(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	role := fmt.Sprintf("agentexec_test_%s", db.Name[len(db.Name)-12:])
	db.Exec(t, fmt.Sprintf("create role %q", role))
	t.Cleanup(func() { db.Exec(t, fmt.Sprintf("drop owned by %q cascade; drop role %q", role, role)) })
	conn := db.Conn(t)
	_, err := conn.Exec(t.Context(), fmt.Sprintf("set session authorization %q", role))
	require.NoError(t, err)

	err = migrate.Up(t.Context(), conn, nil)
	require.ErrorContains(t, err, "creating schema agentexec")
	require.ErrorContains(t, err, "permission denied")
	requireState(t, conn, nil, migrate.Missing)

	db.Exec(t, fmt.Sprintf("grant create on database %s to %q", db.Name, role))
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	requireFresh(t, db)

	// A role without rights is not told that the schema is missing.
	db.Exec(t, fmt.Sprintf("reassign owned by %q to current_user", role))
	_, err = migrate.Check(t.Context(), conn, nil)
	require.ErrorContains(t, err, "permission denied")
}
