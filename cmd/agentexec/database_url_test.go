package main

import (
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDatabaseURLForms: every command takes the forms that other programs write, and hands pool parameters to no server.
func TestDatabaseURLForms(t *testing.T) {
	t.Parallel()
	c := setup(t)
	u, err := url.Parse(c.db.URL)
	require.NoError(t, err)
	password, _ := u.User.Password()
	rest := strings.TrimPrefix(c.db.URL, "postgres://")
	plain, _, _ := strings.Cut(rest, "?")
	keywords := "host=" + u.Hostname() + " port=" + u.Port() + " user=" + u.User.Username() + " dbname=" + c.db.Name + " sslmode=disable password='" + password + "'"
	for _, text := range []string{
		c.db.URL + "&pool_max_conns=3&pool_min_conns=1", "postgresql+asyncpg://" + plain + "?ssl=disable", "postgres+psycopg2://" + plain + "?ssl=prefer",
		keywords, keywords + " pool_max_conns=3", c.db.URL + "&application_name=x&statement_timeout=60000&keepalives=1&options=-c%20work_mem%3D8MB",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			c := c.with("AGENTEXEC_DATABASE_URL=" + text)
			c.ok(t, "migrate")
			id := c.ok(t, "create", "research")
			c.ok(t, "complete", id)
			c.ok(t, "watch", id)
			server, page := c.serve(t, "--addr", "127.0.0.1:0")
			code, body := get(t, page+"/v1/activities")
			require.Equal(t, 200, code)
			require.Contains(t, body, id)
			server.signal(t, syscall.SIGTERM)
			require.NoError(t, server.cmd.Wait(), "%s", &server.stderr)
		})
	}
}

// TestDatabaseURLsThatAreRefused: at once, in one line that says what to do and holds no password, whichever command.
func TestDatabaseURLsThatAreRefused(t *testing.T) {
	t.Parallel()
	c := bare(t)
	for text, want := range map[string]string{
		"postgres://me:geheim@127.0.0.1:1/d?schema=public&connection_limit=5": "the parameter schema is not known here: choose the schema with --schema",
		"postgres://me:geheim@127.0.0.1:1/d?pgbouncer=true":                   "the parameter pgbouncer is not known here",
		"postgres://me:geheim@127.0.0.1:1/d?aplication_name=x":                "is it application_name that is meant?",
		"mysql://me:geheim@127.0.0.1:1/d":                                     "its scheme is mysql",
		"me:geheim@127.0.0.1:1/d?ssl=require":                                 "it is neither a URL nor keyword=value",
		"postgresql+asyncpg:/me:geheim@h/d?ssl=require":                       "it is neither a URL nor keyword=value",
		"postgres://me:ge/heim@127.0.0.1:1/d":                                 "must be percent-encoded",
		"password='geheim":                                                    "a single quote in it is not closed",
	} {
		for _, args := range [][]string{{"migrate"}, {"list"}, {"watch", "01234567-89ab-cdef-0123-456789abcdef"}, {"serve"}} {
			line := c.with("DATABASE_URL="+text).refused(t, 2, args...)
			require.Contains(t, line, want)
			require.Contains(t, line, "agentexec: DATABASE_URL: not a usable database URL")
			require.NotContains(t, line, "heim")
		}
		line := c.with("DATABASE_URL=postgres://127.0.0.1:1/d", "AGENTEXEC_LISTEN_URL="+text).refused(t, 2, "serve")
		require.Contains(t, line, want)
		require.Contains(t, line, "agentexec: AGENTEXEC_LISTEN_URL: not a usable database URL")
		require.NotContains(t, line, "heim")
	}
}

// TestParametersThatTheServerRefuses: serve ends at once where waiting would not help.
func TestParametersThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	c := setup(t)
	for _, parameter := range []string{"options=-c%20frobnicate%3D1", "work_mem=plenty", "options=--frobnicate"} {
		c := c.with("AGENTEXEC_DATABASE_URL="+c.db.URL+"&"+parameter, "AGENTEXEC_LOG_LEVEL=error")
		line := c.refused(t, 1, "serve", "--addr", "127.0.0.1:0")
		require.Contains(t, line, "cannot connect to database", parameter)
		require.Equal(t, line, c.with("AGENTEXEC_LISTEN_URL="+c.db.URL+"&"+parameter).refused(t, 1, "serve", "--addr", "127.0.0.1:0"), parameter)
	}
}
