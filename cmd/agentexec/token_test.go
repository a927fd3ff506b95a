package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// getWith asks with a token and returns the status.
func getWith(t *testing.T, url, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// keyPair writes a private and a public key, and returns the names of the files.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	private, public = filepath.Join(t.TempDir(), "private.pem"), filepath.Join(t.TempDir(), "public.pem")
	require.NoError(t, os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}), 0o600))
	return private, public
}

// TestServeWithTokens: what token mints is what serve takes, on any address, and flags win.
func TestServeWithTokens(t *testing.T) {
	t.Parallel()
	c := setup(t)
	ours, theirs := c.ok(t, "create", "research", "--metadata", `{"org":"1","n":9007199254740993}`), c.ok(t, "create", "research", "--metadata", `{"org":"2","n":9007199254740992}`)
	private, public := keyPair(t)
	const good = "AGENTEXEC_JWT_SECRET=0123456789abcdef0123456789abcdef"
	for name, test := range map[string]struct{ serve, mint *cli }{
		"Secret": {c.with(good), c.with(good)},
		"KeyFile": {
			c.with("AGENTEXEC_JWT_KEY_FILE="+public, "AGENTEXEC_JWT_ALGORITHM=ES256", "AGENTEXEC_JWT_ISSUER=me"),
			c.with("AGENTEXEC_JWT_PRIVATE_KEY_FILE="+private, "AGENTEXEC_JWT_ISSUER=me"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, url := test.serve.serve(t, "--addr", "0.0.0.0:0")
			url = strings.Replace(url, "0.0.0.0", "127.0.0.1", 1)
			require.Equal(t, 401, getWith(t, url+"/v1/activities", ""))
			all := test.mint.ok(t, "token", "--read", "--subject", "ada")
			require.Equal(t, 200, getWith(t, url+"/v1/activities/"+theirs, all))
			require.Equal(t, 403, getWith(t, url+"/v1/activities?include_metadata=true", all))
			require.Equal(t, 200, getWith(t, url+"/v1/activities?include_metadata=true", test.mint.ok(t, "token", "--read", "--include-metadata")))
			require.Equal(t, 403, getWith(t, url+"/v1/activities", test.mint.ok(t, "token", "--write", "--cancel")))
			for _, narrow := range [][]string{{"--metadata", "org=1"}, {"--agent-id", ours}, {"--metadata", "n=9007199254740993"},
				{"--metadata", `{"org":"1"}`, "--metadata", "n=9007199254740993"}} {
				scoped := test.mint.ok(t, append([]string{"token", "--read"}, narrow...)...)
				require.Equal(t, 200, getWith(t, url+"/v1/activities/"+ours, scoped))
				require.Equal(t, 404, getWith(t, url+"/v1/activities/"+theirs, scoped))
			}
			require.Equal(t, 404, getWith(t, url+"/v1/activities/"+ours, test.mint.ok(t, "token", "--read", "--metadata", `n="9007199254740993"`)))
			other := test.mint.ok(t, "token", "--read", "--jwt-secret", "other")
			require.Equal(t, 401, getWith(t, url+"/v1/activities", other))
		})
	}
}

// TestAuthRefuses: what is wrong with how tokens are to be checked, or made, is said in one line that holds no secret.
func TestAuthRefuses(t *testing.T) {
	t.Parallel()
	c := setup(t).with("AGENTEXEC_LOG_LEVEL=error")
	private, public := keyPair(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, tc := range []struct {
		code       int
		env        []string
		args, says string
	}{
		{1, nil, "serve --jwt-issuer me", "AGENTEXEC_JWT_SECRET"},
		{1, []string{"AGENTEXEC_JWT_AUDIENCE=me"}, "serve", "AGENTEXEC_JWT_SECRET"},
		{1, []string{"AGENTEXEC_JWT_SECRET=geheim", "AGENTEXEC_JWKS_URL=https://x"}, "serve", "only one of"},
		{1, []string{"AGENTEXEC_JWT_SECRET=geheim"}, "serve --jwt-algorithm none", "not known"},
		{1, []string{"AGENTEXEC_JWT_SECRET=geheim"}, "serve --addr 0.0.0.0:0", "AGENTEXEC_JWT_SECRET has 6 bytes"},
		{1, []string{"AGENTEXEC_JWT_SECRET=geheim"}, "serve --addr 0.0.0.0:0 --insecure", "AGENTEXEC_JWT_SECRET has 6 bytes"},
		{1, []string{"AGENTEXEC_JWT_SECRET=geheim"}, "dev --addr 0.0.0.0:0", "AGENTEXEC_JWT_SECRET has 6 bytes"},
		{1, []string{"AGENTEXEC_JWT_KEY_FILE=" + public}, "serve", "AGENTEXEC_JWT_ALGORITHM"},
		{1, []string{"AGENTEXEC_JWT_KEY_FILE=" + public}, "serve --jwt-algorithm RS256", "takes an RSA key"},
		{1, []string{"AGENTEXEC_JWT_KEY_FILE=" + private}, "serve --jwt-algorithm ES256", "private key"},
		{1, nil, "serve --jwt-key-file /nonexistent/geheim --jwt-algorithm ES256", "no such file"},
		{1, nil, "serve --jwt-algorithm ES256 --jwt-key-file " + empty, "holds no PEM block"},
		{2, nil, "serve --jwt-secret=", "--jwt-secret must not be empty"},
		{2, nil, "serve --tls-cert= --tls-key=", "--tls-cert must not be empty"},
		{2, nil, "serve --allow-origin *", "authentication"},
		{2, nil, "serve --allow-origin app.example.com", "scheme://host"},
		{2, []string{"AGENTEXEC_ALLOW_ORIGIN=https://a.example,b.example"}, "serve", `"b.example"`},
		{2, nil, "token --read", "needs a key"},
		{2, []string{"AGENTEXEC_JWT_KEY_FILE=" + public}, "token --read", "--private-key-file"},
		{2, []string{"AGENTEXEC_JWT_SECRET=geheim"}, "token --expires-in 0s", "more than 0"},
		{2, []string{"AGENTEXEC_JWT_SECRET=geheim"}, "token --expires-in=-1h", "must not be negative"},
		{2, []string{"AGENTEXEC_JWT_SECRET=geheim"}, "token --metadata org", "KEY=VALUE"},
		{2, []string{"AGENTEXEC_JWT_SECRET=geheim"}, "token --agent-id nope", "must be a UUID"},
		{2, []string{"AGENTEXEC_JWT_SECRET=geheim"}, "token --jwt-algorithm ES256", "takes an ECDSA key"},
		{2, []string{"AGENTEXEC_JWT_SECRET=geheim", "AGENTEXEC_JWT_PRIVATE_KEY_FILE=x"}, "token", "do not go together"},
		{2, nil, "token --private-key-file " + public, "PRIVATE KEY"},
		{2, nil, "token --private-key-file " + empty, "holds no PEM block"},
		{2, []string{"AGENTEXEC_JWT_SECRET="}, "token --read", "needs a key"},
	} {
		t.Run(tc.args+strings.Join(tc.env, " "), func(t *testing.T) {
			t.Parallel()
			line := c.with(tc.env...).refused(t, tc.code, strings.Fields(tc.args)...)
			require.Contains(t, line, tc.says)
			require.NotContains(t, strings.ReplaceAll(line, "/nonexistent/geheim", ""), "geheim")
		})
	}
}

// TestEmptyIsNotOff: a variable that is set and empty, as one made of another that is missing, does not switch off what it
// would have switched on. A flag beside it counts.
func TestEmptyIsNotOff(t *testing.T) {
	t.Parallel()
	c := setup(t).with("AGENTEXEC_LOG_LEVEL=error")
	commands := map[string][]string{"serve": {
		"JWT_SECRET", "JWT_KEY_FILE", "JWKS_URL", "JWT_ALGORITHM", "JWT_ISSUER", "JWT_AUDIENCE", "TLS_CERT", "TLS_KEY",
	}}
	commands["dev"] = commands["serve"][:6]
	for command, names := range commands {
		for _, name := range names {
			line := c.with("AGENTEXEC_"+name+"=").refused(t, 2, command, "--addr", "127.0.0.1:0")
			require.Contains(t, line, "AGENTEXEC_"+name+" must not be empty: give it a value, or leave it out where no ")
		}
	}
	_, url := c.with("AGENTEXEC_JWT_SECRET=", "AGENTEXEC_LOG_LEVEL=info").serve(t, "--addr", "127.0.0.1:0", "--jwt-secret", "geheim")
	require.Equal(t, http.StatusUnauthorized, getWith(t, url+"/v1/stats", ""))
}
