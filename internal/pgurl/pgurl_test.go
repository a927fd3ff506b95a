package pgurl

import (
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// TestForms has the forms in which connection strings come, and what each means.
func TestForms(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	for text, want := range map[string]string{
		"postgres://u:p@h:5433/d":                                  "u p h 5433 d tls=optional",
		"postgresql://u:p@h/d?sslmode=disable":                     "u p h 5432 d tls=no",
		"POSTGRES://u:p@h/d?sslmode=disable":                       "u p h 5432 d tls=no",
		"postgresql+asyncpg://u:p@h/d?ssl=require":                 "u p h 5432 d tls=must",
		"postgresql+psycopg2://u:p@h/d?ssl=true":                   "u p h 5432 d tls=must",
		"postgres+pgx://u:p@h/d?ssl=false":                         "u p h 5432 d tls=no",
		"postgres://u:p@h/d?ssl=1&sslmode=require":                 "u p h 5432 d tls=must",
		"postgres://u:p@h/d?sslmode=no-verify":                     "u p h 5432 d tls=must",
		"postgres://u:p%40%2F%3F%23%25@h/d":                        "u p@/?#% h 5432 d tls=optional",
		"postgres://u:a@b@h/d":                                     "u a@b h 5432 d tls=optional",
		"postgres://u:p%27q%5Cr s@h/d":                             `u p'q\r s h 5432 d tls=optional`,
		"postgres://u@/d?host=/run/pg&port=5434":                   "u  /run/pg 5434 d tls=no",
		"postgres://u@%2Frun%2Fpg/d":                               "u  /run/pg 5432 d tls=no",
		"postgres://u:p@[::1]:5433/d":                              "u p ::1 5433 d tls=optional",
		"postgres://u:p@h:5433/d%20e?password=q&dbname=x%2By":      "u q h 5433 x+y tls=optional",
		"host=h user=u password='a b\\'c' dbname=d":                "u a b'c h 5432 d tls=optional",
		"  host = h\nuser=u password=a\\ b dbname=d  ":             "u a b h 5432 d tls=optional",
		"host=h user=u dbname=d password=postgres://a:b@c/d?e=f":   "u postgres://a:b@c/d?e=f h 5432 d tls=optional",
		"host=h user=u dbname=d keepalives=1 gssencmode=disable":   "u  h 5432 d tls=optional",
		"postgres://u:p@h/d?channel_binding=require&keepalives=1&": "u p h 5432 d tls=optional",
	} {
		c, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, summary(c), text)
	}
}

// summary is what of a configuration says where it leads.
func summary(c *pgxpool.Config) string {
	cc := c.ConnConfig
	tls := "tls=must"
	switch {
	case cc.TLSConfig == nil:
		tls = "tls=no"
	case len(cc.Fallbacks) > 0 && cc.Fallbacks[0].TLSConfig == nil:
		tls = "tls=optional"
	}
	return cc.User + " " + cc.Password + " " + cc.Host + " " + strconv.Itoa(int(cc.Port)) + " " + cc.Database + " " + tls
}

func TestSeveralHosts(t *testing.T) {
	c, err := Parse("postgres://u@a:1,[::1]:2,b/d?sslmode=disable")
	require.NoError(t, err)
	require.Equal(t, "a", c.ConnConfig.Host)
	require.Len(t, c.ConnConfig.Fallbacks, 2)
	require.Equal(t, "::1", c.ConnConfig.Fallbacks[0].Host)
	require.Equal(t, uint16(5432), c.ConnConfig.Fallbacks[1].Port)
}

func TestPoolParametersStayHere(t *testing.T) {
	const text = "postgres://u@h/d?pool_max_conns=7&pool_max_conn_lifetime=5m&application_name=x&Search_Path=s&agentexec.scope=%7B%7D"
	c, err := Parse(text)
	require.NoError(t, err)
	require.EqualValues(t, 7, c.MaxConns)
	require.Equal(t, 7, PoolSize(text))
	require.Zero(t, PoolSize("postgres://u@h/d"))
	require.Equal(t, map[string]string{"application_name": "x", "search_path": "s", "agentexec.scope": "{}"}, c.ConnConfig.RuntimeParams)
}

// TestRefused has what each bad string is refused with.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://u:p@h/d?schema=public":            "the parameter schema is not known here: choose the schema with --schema",
		"postgres://u:p@h/d?connection_limit=5":       "the parameter connection_limit is not known here: write pool_max_conns",
		"postgres://u:p@h/d?pgbouncer=true":           "the parameter pgbouncer is not known here: leave it out",
		"postgres://u:p@h/d?prepareThreshold=0":       "the parameter preparethreshold is not known here",
		"postgres://u:p@h/d?statement_timeuot=5":      "the parameter statement_timeuot is not known; is it statement_timeout that is meant?",
		"postgres://u:p@h/d?frobnicate=5":             "the parameter frobnicate is not known: leave it out, or write",
		"host=h password=x schema=public":             "the parameter schema is not known here",
		"host=h password=x frobnicate=1":              "a parameter in it is not known: leave it out",
		"host=h password=x application_nam=1":         "a parameter in it is not known; is it application_name that is meant?",
		"postgres://u:p@h/d?pool_max_conns=many":      "pool_max_conns: its value cannot be used",
		"postgres://u:p@h/d?sslmode=maybe":            "sslmode: its value cannot be used",
		"postgres://u:p@h/d?ssl=maybe":                "ssl: its value cannot be used",
		"postgres://u:p@h/d?ssl=true&sslmode=disable": "ssl and sslmode say different things",
		"postgres://u:p@h/d?sslrootcert=/none":        "sslrootcert: its file cannot be read: no such file or directory",
		"postgres://u:p@h/d?gssencmode=require":       "the parameter gssencmode is not known here: this program has no encryption by GSSAPI",
		"mysql://u:p@h/d":                             "its scheme is mysql",
		"jdbc:postgresql://h/d?user=u&password=p":     "its scheme is jdbc",
		"s3cret://u:p@h/d":                            "its scheme is neither postgres nor postgresql",
		"postgresql+asyncpg:/h/d?ssl=require":         "it is neither a URL nor keyword=value",
		"//u:p@h/d?ssl=require":                       "it is neither a URL nor keyword=value",
		`"postgres://u:p@h/d?ssl=require"`:            "its scheme is neither postgres nor postgresql",
		"u:p@h/d?ssl=require":                         "it is neither a URL nor keyword=value",
		"localhost":                                   "it is neither a URL nor keyword=value",
		"DATABASE_URL=postgres://u:p@h/d":             "the parameter database_url is not known here: write what follows it",
		"postgres://u:p/w@h/d":                        "a character in it must be percent-encoded",
		"postgres://u:1/w@h/d":                        "a character in it must be percent-encoded",
		"postgres://u:1?w@h/d":                        "a character in it must be percent-encoded",
		"postgres://u:1#w@h/d":                        "a character in it must be percent-encoded",
		"postgres://u:p%@h/d":                         "its percent-encoding is broken",
		"postgres://h:port/d":                         "its host or port cannot be read",
		"postgres://[::1/d":                           "its host or port cannot be read",
		"host=h password='x":                          "a single quote in it is not closed",
		"host=h password=x y user=z":                  "a keyword in it has no value",
		"postgres://u:p@h/d\x00":                      "NUL",
		"postgres://u:p@h/d?a%00b=c":                  "NUL",
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, "not a usable database URL", text)
	}
}
