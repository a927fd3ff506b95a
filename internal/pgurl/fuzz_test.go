package pgurl

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shapes are strings with a password at %s, right and broken ones.
var shapes = []string{
	"postgres://user:%s@host/db", "postgres://user:%s@host:5432/db?sslmode=require", "postgresql+asyncpg://user:%s@host/db?ssl=require",
	"postgresql://:%s@host/db", "postgres://%s@host/db?schema=public", "postgres://user:%s@host:no/db", "postgres://user:%s@host/db?frobnicate=1",
	"postgres://host/db?password=%s", "postgres://host/db?password=%s&frobnicate=1", "postgres://host/db?frobnicate=1&password=%s",
	"postgres://host/db?pass%%77ord=%s&x=1", "postgres://host/db?sslpassword=%s&sslmode=no", "postgres://user:%s@[::1/db",
	"postgres:/user:%s@host/db", "postgres:user:%s@host/db?x=y", "//user:%s@host/db", "user:%s@host/db?ssl=require", `"postgres://user:%s@host/db"`,
	"mysql://user:%s@host/db", "jdbc:postgresql://host/db?user=u&password=%s",
	"host=h password=%s", "host=h password='%s'", "host=h password='%s", "password=%s frobnicate=1", "password='%s' sslmode=no",
	"password = %s user=u port=x", "host=h sslpassword='%s' schema=public", "PASSWORD=%s", "pwd=%s", "DATABASE_URL=postgres://u:%s@h/d",
	"postgres://u:%s%%zz@h/d", "postgres://u:%s:x@h/d?zzz=1", "postgres://%s:p@h/d?zzz=1",
}

// values are strings with a value at %s that is no password, and is not quoted either.
var values = []string{
	"postgres://u:p@h/d?options=%s&sslmode=no", "postgres://u:p@h/d?pool_max_conns=%s", "postgres://u:p@h/d?connect_timeout=%s",
	"postgres://u:p@h/d?sslmode=%s", "postgres://u:p@h/d?target_session_attrs=%s", "postgres://u:p@h/d?service=%s",
	"postgres://u:p@h/d?require_auth=%s", "postgres://u:p@h/d?sslrootcert=%s", "postgres://u:p@h/d?default_query_exec_mode=%s",
	"postgres://u:p@h/d?min_protocol_version=%s", "postgres://u:p@h:%s/d", "postgres://h/d?ssl=%s", "port=%s", "sslmode=%s",
}

// TestNoErrorHoldsThePassword tries passwords of all kinds in all places.
func TestNoErrorHoldsThePassword(t *testing.T) {
	t.Parallel()
	for _, shape := range values {
		text := fmt.Sprintf(shape, "hunter2")
		requireKept(t, text, "hunter2")
	}
	specials := []string{"", "@", "/", "?", "#", ":", "%", "%40", "&", "=", "'", `\`, " ", "\n", "[", "]", ",", "+", "?x=", "&y=", "://", "@h/d?", "//", ";", "ü"}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		for _, shape := range shapes {
			// Two halves, so that a part of it is found too.
			password := "hunter2" + specials[random.IntN(len(specials))] + "swordfish" + specials[random.IntN(len(specials))]
			requireKept(t, fmt.Sprintf(shape, password), "hunter2", "swordfish")
		}
	}
}

func requireKept(t *testing.T, text string, secrets ...string) {
	t.Helper()
	_, err := Parse(text)
	if err == nil {
		return
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
		for e := err; e != nil; {
			said := fmt.Sprintf(verb, e)
			for _, secret := range secrets {
				require.NotContains(t, said, secret, "in %q", text)
			}
			wrapped, ok := e.(interface{ Unwrap() error })
			if !ok {
				break
			}
			e = wrapped.Unwrap()
		}
	}
}

// FuzzParse looks for strings that crash it, for a URL that is read as keywords and values, for parameters that would reach
// the server, and for passwords in errors.
func FuzzParse(f *testing.F) {
	for _, shape := range shapes {
		f.Add(fmt.Sprintf(shape, "x"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, shape := range shapes {
			requireKept(t, fmt.Sprintf(shape, "hunter2"+text), "hunter2")
		}
		c, err := Parse(text)
		if err != nil {
			return
		}
		scheme, _, isURL := strings.Cut(strings.TrimSpace(text), "://")
		if isURL && !strings.Contains(scheme, "=") {
			dialect, _, _ := strings.Cut(strings.ToLower(scheme), "+")
			require.Contains(t, []string{"postgres", "postgresql"}, dialect)
		}
		for name := range c.ConnConfig.RuntimeParams {
			require.NotContains(t, name, "pool_")
			require.True(t, isParameter(name) || name == "options", name)
		}
	})
}
