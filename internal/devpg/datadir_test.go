package devpg

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDataIsKeptUntilFresh(t *testing.T) {
	t.Parallel()
	opts, dir := dirOptions(t)
	require.NoError(t, os.Mkdir(dir, 0o700), "an empty folder is as good as none")
	s := start(t, opts)
	run(t, s, "create table kept (n int)")
	require.NoError(t, s.Remove(), "keeps the data where it is not temporary")

	again := start(t, opts)
	require.Equal(t, s.password, again.password)
	run(t, again, "table kept")

	opts.Fresh = true
	_, err := Start(t.Context(), opts)
	require.ErrorIs(t, err, ErrRunning, "while it runs it is not removed")
	run(t, again, "table kept")

	require.NoError(t, again.Stop())
	fresh := start(t, opts)
	_, err = connect(t, fresh).Exec(t.Context(), "table kept")
	require.ErrorContains(t, err, "does not exist")
}

func TestDataFolderInUse(t *testing.T) {
	t.Parallel()
	opts, dir := dirOptions(t)
	s := start(t, opts)
	pid, _, ok := readPidFile(dir)
	require.True(t, ok)

	_, err := Start(t.Context(), opts)
	require.ErrorIs(t, err, ErrRunning)
	require.EqualError(t, err, fmt.Sprintf("PostgreSQL runs already on data folder %s (process %d, port %d): "+
		"stop it, or choose another folder", dir, pid, s.Port))
	run(t, s, "select 1")
}

func TestTwoStartsAtOnceMakeOneServer(t *testing.T) {
	t.Parallel()
	opts, dir := dirOptions(t)
	opts.Port = freePort() // the same, so that each could take the other's server for its own
	errs := make([]error, 3)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			s, err := Start(t.Context(), opts)
			if errs[i] = err; err == nil {
				t.Cleanup(func() { require.NoError(t, s.Remove()) })
			}
		})
	}
	all.Wait()
	started := 0
	for _, err := range errs {
		if err == nil {
			started++
			continue
		}
		require.ErrorIs(t, err, ErrRunning)
	}
	require.Equal(t, 1, started)
	left, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing but the data folder")
}

func TestStalePidFile(t *testing.T) {
	t.Parallel()
	t.Run("NoSuchProcess", func(t *testing.T) {
		t.Parallel()
		opts, _ := dirOptions(t)
		s := start(t, opts)
		require.NoError(t, s.Kill())
		require.FileExists(t, pidFile(s.DataDir))
		run(t, start(t, opts), "select 1")
	})
	t.Run("AnotherProgramHasItsID", func(t *testing.T) {
		t.Parallel()
		opts, dir := dirOptions(t)
		s := start(t, opts)
		require.NoError(t, s.Stop())
		content := fmt.Sprintf("%d\n%s\n1\n%d\n\n127.0.0.1\n\nready\n", os.Getpid(), dir, s.Port)
		require.NoError(t, os.WriteFile(pidFile(dir), []byte(content), 0o600))
		run(t, start(t, opts), "select 1")
	})
}

func TestForeignDataFolders(t *testing.T) {
	t.Parallel()
	opts, dir := dirOptions(t)
	require.NoError(t, os.Mkdir(dir, 0o755))
	mine := filepath.Join(dir, "diary.txt")
	require.NoError(t, os.WriteFile(mine, []byte("dear diary"), 0o600))

	_, err := Start(t.Context(), opts)
	require.ErrorContains(t, err, "is not empty and no data folder of PostgreSQL")
	opts.Fresh = true
	_, err = Start(t.Context(), opts)
	require.ErrorContains(t, err, "so it is not removed")
	require.FileExists(t, mine)

	opts.Fresh = false
	require.NoError(t, os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("9\n"), 0o600))
	_, err = Start(t.Context(), opts)
	require.ErrorContains(t, err, "was made by PostgreSQL 9, and the one in ")

	binaries, err := Find(t.Context(), opts)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "PG_VERSION"), fmt.Append(nil, binaries.Major), 0o600))
	_, err = Start(t.Context(), opts)
	require.ErrorContains(t, err, "was not made by agentexec")
}

func TestDefaultDataDir(t *testing.T) {
	t.Parallel()
	as, err := serverAccount()
	require.NoError(t, err)
	dir, err := Options{}.dataDir(as, 17)
	require.NoError(t, err)
	require.Equal(t, "pg17", filepath.Base(dir))
	require.Equal(t, "agentexec", filepath.Base(filepath.Dir(dir)))
	require.NoError(t, as.reach(dir))
}

func TestFolderClosedToTheServersUser(t *testing.T) {
	t.Parallel()
	as := &account{name: "other", uid: 54321, gid: 54321}
	dir := openDir(t)
	require.NoError(t, as.reach(dir))
	closed := filepath.Join(dir, "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	require.EqualError(t, as.reach(filepath.Join(closed, "not", "there")), closed+" is closed to user other, "+
		"as whom PostgreSQL runs because it refuses root: choose another folder")
}
