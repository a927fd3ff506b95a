package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadFromSidecar: every command that takes --url answers as with a database.
func TestReadFromSidecar(t *testing.T) {
	t.Parallel()
	c := setup(t)
	_, url := c.serve(t, "--addr", "127.0.0.1:0")
	remote := bare(t).with("AGENTEXEC_URL=" + url)
	id := c.ok(t, "create", "research", "--metadata", "{\"org\": 1}")
	c.ok(t, "log", id, "Go <1>", "--status", "RUNNING", "--data", `{"a": "<"}`)
	c.ok(t, "complete", id)
	c.db.Exec(t, `update agentexec.activity set created_at = now() - interval '73 hours', started_at = now() - interval '73 hours',
		updated_at = now() - interval '73 hours', finished_at = now() - interval '73 hours'`) // ages that stay the same
	for _, args := range [][]string{
		{"list"}, {"list", "--status", "COMPLETE", "--metadata", "org=1"}, {"list", "--agent-type", "none"},
		{"show", id}, {"show", id[:8]}, {"watch", id}, {"watch", id[:6], "--json"}, {"watch", id, "--after-seq", "2"},
	} {
		require.Equal(t, c.ok(t, args...), remote.ok(t, args...), args)
	}
	for _, args := range [][]string{{"list", "--json"}, {"show", id, "--json"}} {
		require.JSONEq(t, withoutNext(c.ok(t, args...)), withoutNext(remote.ok(t, args...)))
	}
	require.Equal(t, []string{id}, remote.complete(t, "show", ""))

	none := "01234567-89ab-cdef-0123-456789abcdef"
	for code, all := range map[int][][]string{
		1: {{"show", none}, {"watch", none}, {"cancel", none}, {"cancel", id}, {"show", "0123"}},
		2: {{"list", "--page-size", "1001"}, {"list", "--after", "x"}, {"show", "nope"}},
	} {
		for _, args := range all {
			require.Equal(t, c.refused(t, code, args...), remote.refused(t, code, args...), args)
		}
	}
	require.Contains(t, remote.refused(t, 2, "list", "--metadata", `{"a": {"b": 1}}`), "a sidecar takes only a text")
	require.Contains(t, remote.ok(t, "cancel", c.ok(t, "create", "a")), "canceled (line 2)")
	require.Contains(t, remote.refused(t, 1, "log", id, "x"), "no database")
}

// withoutNext removes the member that only pages have.
func withoutNext(text string) string {
	return strings.NewReplacer(`, "next_after_seq": null`, "", `,"next_after_seq":null`, "").Replace(text)
}

// TestWhichSource: a flag takes precedence over a variable, and AGENTEXEC_URL over the variables of a database.
func TestWhichSource(t *testing.T) {
	t.Parallel()
	c := setup(t)
	nowhere := "http://127.0.0.1:1/agentexec"
	lost := "agentexec: cannot connect to " + nowhere + ": connection refused"
	require.Equal(t, lost, c.refused(t, 1, "list", "--url", nowhere))
	require.Equal(t, lost, c.with("AGENTEXEC_URL="+nowhere+"/").refused(t, 1, "list"))
	require.Equal(t, lost, bare(t).refused(t, 1, "watch", "abcd", "--url", nowhere))
	c.with("AGENTEXEC_URL="+nowhere).ok(t, "list", "--database-url", c.db.URL)
	c.with("AGENTEXEC_URL=").ok(t, "list")
	require.Contains(t, c.refused(t, 2, "list", "--url", nowhere, "--database-url", c.db.URL), "do not go together")
	require.Contains(t, c.refused(t, 2, "list", "--url="), "--url must not be empty")
	require.Contains(t, c.refused(t, 2, "list", "--url", "ftp://x"), "--url: must be the address of a sidecar")
	require.Contains(t, c.refused(t, 2, "list", "--url", "http://me:geheim@x/"), "no password")
	require.Contains(t, c.refused(t, 2, "log", "abcd", "x", "--url", nowhere), "unknown flag: --url")
}

func TestTokenForSidecar(t *testing.T) {
	t.Parallel()
	c := setup(t).with("AGENTEXEC_JWT_SECRET=a secret of thirty-two characters")
	_, url := c.serve(t, "--addr", "127.0.0.1:0")
	token := c.ok(t, "token", "--read")
	remote := bare(t).with("AGENTEXEC_URL=" + url)
	id := c.ok(t, "create", "research", "--metadata", `{"org": "1"}`)

	require.Contains(t, remote.refused(t, 1, "list"), "give a token with AGENTEXEC_TOKEN")
	require.Contains(t, remote.with("AGENTEXEC_TOKEN="+token).ok(t, "list"), id)
	require.Contains(t, remote.ok(t, "list", "--token", token), id)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(token+"\n"), 0o600))
	require.Contains(t, remote.with("AGENTEXEC_TOKEN_FILE="+file).ok(t, "list"), id)
	require.Contains(t, remote.with("AGENTEXEC_TOKEN=a.b.c").ok(t, "list", "--token-file", file), id)
	require.Contains(t, remote.with("AGENTEXEC_TOKEN_FILE="+file, "AGENTEXEC_TOKEN=a.b.c").refused(t, 2, "list"), "do not go together")
	require.Contains(t, remote.refused(t, 1, "list", "--token-file", file+"x"), "--token-file: cannot read the token")
	require.Contains(t, remote.refused(t, 2, "list", "--token", "gehe im"), "--token holds no token")

	show := remote.with("AGENTEXEC_TOKEN="+token).ok(t, "show", id) // without the metadata, which the token does not grant
	require.NotContains(t, show, "metadata")
	require.Contains(t, remote.with("AGENTEXEC_TOKEN="+token).refused(t, 1, "cancel", id), "the token does not allow it")

	// Another machine, without TLS. (Nothing answers at the address, which is reserved for documentation.)
	for address, warns := range map[string]bool{"http://agentexec.invalid": true, "https://agentexec.invalid": false} {
		r := remote.run(t, "list", "--url", address, "--token", token)
		require.Equal(t, 1, r.code)
		require.Equal(t, warns, strings.Contains(r.stderr, "warning: the token goes over the network without encryption"), r.stderr)
		require.NotContains(t, r.stderr, token)
	}
}
