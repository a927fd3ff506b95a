package devpg

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeBinaries puts programs into dir that print a version, and an initdb that runs a line of shell.
func fakeBinaries(t *testing.T, dir, version, initdb string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for name, line := range map[string]string{"postgres": "echo '" + version + "'", "initdb": initdb} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+line+"\n"), 0o755))
	}
}

// findAmong is Find on a machine that has nothing but dirs.
func findAmong(t *testing.T, opts Options, dirs ...string) (Binaries, error) {
	t.Helper()
	as, err := serverAccount()
	require.NoError(t, err)
	return findIn(t.Context(), opts, as, dirs, openDir(t))
}

func TestFindPicksTheNewest(t *testing.T) {
	t.Parallel()
	base := openDir(t)
	dirs := map[string]string{
		"14": "postgres (PostgreSQL) 14.9", "15": "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)",
		"17a": "postgres (PostgreSQL) 17.5", "17b": "postgres (PostgreSQL) 17.6", "9": "postgres (PostgreSQL) 9.6.24",
		"junk": "hello",
	}
	in := func(name string) string { return filepath.Join(base, name) }
	for name, version := range dirs {
		fakeBinaries(t, in(name), version, "exit 0")
	}
	noInitdb := in("no-initdb")
	fakeBinaries(t, noInitdb, "postgres (PostgreSQL) 18.1", "exit 0")
	require.NoError(t, os.Remove(filepath.Join(noInitdb, "initdb")))
	opts := Options{NoDownload: true}

	b, err := findAmong(t, opts, in("9"), in("15"), in("17a"), in("junk"), in("17b"), in("14"), noInitdb, in("none"))
	require.NoError(t, err)
	require.Equal(t, Binaries{Dir: in("17a"), Major: 17}, b, "the first of equals")

	_, err = findAmong(t, opts, in("14"), in("junk"), noInitdb)
	require.ErrorIs(t, err, ErrNoBinaries)
	require.ErrorContains(t, err, in("14")+": version 14 is older than 15")
	require.ErrorContains(t, err, in("junk")+`: postgres --version printed "hello"`)
}

func TestFindInAGivenFolder(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	fakeBinaries(t, dir, "postgres (PostgreSQL) 15.1", "exit 0")
	b, err := Find(t.Context(), Options{BinDir: dir})
	require.NoError(t, err)
	require.Equal(t, Binaries{Dir: dir, Major: 15}, b)

	fakeBinaries(t, dir, "postgres (PostgreSQL) 13.1", "exit 0")
	_, err = Find(t.Context(), Options{BinDir: dir})
	require.EqualError(t, err, "no usable PostgreSQL in "+dir+": version 13 is older than 15")

	_, err = Find(t.Context(), Options{BinDir: dir + "/none"})
	require.ErrorContains(t, err, "no usable PostgreSQL in "+dir+"/none: initdb: ")
}

func TestFindOnThisMachine(t *testing.T) {
	t.Parallel()
	b, err := Find(t.Context(), Options{NoDownload: true, BinDir: os.Getenv("AGENTEXEC_TEST_PG_BIN")})
	require.NoError(t, err)
	require.GreaterOrEqual(t, b.Major, OldestMajor)
}

func TestNoBinariesIsOneLineWithTheWaysOut(t *testing.T) {
	t.Parallel()
	repository := httptest.NewServer(http.NotFoundHandler())
	defer repository.Close()
	for name, opts := range map[string]Options{
		"DownloadForbidden": {NoDownload: true},
		"DownloadFails":     {DownloadFrom: repository.URL},
		"NoNetwork":         {DownloadFrom: "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := findAmong(t, opts)
			require.ErrorIs(t, err, ErrNoBinaries)
			require.NotContains(t, err.Error(), "\n")
			require.ErrorContains(t, err, "no PostgreSQL 15 or newer found (")
			require.ErrorContains(t, err, "install PostgreSQL 15 or newer, or set AGENTEXEC_DATABASE_URL to one that runs, "+
				"or allow the download (network access)")
		})
	}
}

// archive is what the repository holds: testdata/postgres.txz (bin with an initdb, a postgres and a pg_ctl that say
// version 18) in a jar.
func archive(t *testing.T) []byte {
	t.Helper()
	txz, err := os.ReadFile("testdata/postgres.txz")
	require.NoError(t, err)
	var jar bytes.Buffer
	w := zip.NewWriter(&jar)
	f, err := w.Create("postgres-test.txz")
	require.NoError(t, err)
	_, err = f.Write(txz)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return jar.Bytes()
}

func TestDownload(t *testing.T) {
	t.Parallel()
	jar := archive(t)
	asked := 0
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".sha256") {
			sum := sha256.Sum256(jar)
			fmt.Fprint(w, hex.EncodeToString(sum[:]))
			return
		}
		asked++
		_, _ = w.Write(jar)
	}))
	defer repository.Close()
	as, err := serverAccount()
	require.NoError(t, err)
	cache := filepath.Join(openDir(t), "cache")

	var announced string
	opts := Options{DownloadFrom: repository.URL, Downloading: func(version string) { announced = version }}
	b, err := findIn(t.Context(), opts, as, nil, cache)
	require.NoError(t, err)
	require.Equal(t, string(downloadVersion), announced)
	require.Equal(t, Binaries{Dir: filepath.Join(cache, "postgres-"+string(downloadVersion), "bin"), Major: 18}, b)
	require.Equal(t, 1, asked)
	left, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.Len(t, left, 1)

	// The next time it is there already.
	again, err := findIn(t.Context(), Options{NoDownload: true}, as, downloaded(cache), cache)
	require.NoError(t, err)
	require.Equal(t, b, again)
}

func TestDownloadIsGivenUpWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	repository := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		<-release
	}))
	defer repository.Close()
	defer close(release)
	as, err := serverAccount()
	require.NoError(t, err)
	_, err = findIn(ctx, Options{DownloadFrom: repository.URL}, as, nil, openDir(t))
	require.ErrorIs(t, err, context.Canceled)
}
