package auth

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzVerify: whatever text comes as a token, it is refused in a few words of ours that hold nothing of it, unless it was
// signed with our secret.
func FuzzVerify(f *testing.F) {
	const secret = "0123456789abcdef0123456789abcdef"
	good, err := Mint(MintConfig{Secret: secret}, Grant{Subject: "ada", Read: true, Expires: time.Now().Add(24 * time.Hour)})
	require.NoError(f, err)
	for _, seed := range []string{
		good, "", ".", "..", "...", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA", "\x00", "e30.e30.e30",
		"eyJhbGciOiJIUzI1NiIsImNyaXQiOlsiYiJdfQ.e30.AAAA", good[:len(good)-1], good + "A", good + "=", " " + good,
	} {
		f.Add(seed)
	}
	v, err := New(Config{Secret: secret})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, token string) {
		grant, err := v.Verify(t.Context(), token)
		if err == nil {
			require.Equal(t, "ada", grant.Subject)
			return
		}
		var refused *Refused
		require.ErrorAs(t, err, &refused)
		require.LessOrEqual(t, len(err.Error()), 300)
		require.Zero(t, grant)
	})
}
