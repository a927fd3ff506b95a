package auth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

func TestVerifyGrant(t *testing.T) {
	t.Parallel()
	v := verifier(t, Config{Secret: secret})
	id := uuid.MustParse("8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11")
	for name, test := range map[string]struct {
		claim string
		want  Grant
	}{
		"Nothing":  {`{}`, Grant{}},
		"NullVerb": {`{"read":null}`, Grant{}},
		"Read":     {`{"read":true}`, Grant{Read: true}},
		"Write":    {`{"write":true,"read":false}`, Grant{Write: true}},
		"Cancel":   {`{"cancel":true}`, Grant{Cancel: true}},
		"Metadata": {`{"include_metadata":true}`, Grant{IncludeMetadata: true}},
		"IDs":      {`{"agent_ids":["` + id.String() + `"]}`, Grant{Scope: client.Scope{AgentIDs: []uuid.UUID{id}}}},
		"NoIDs":    {`{"agent_ids":[]}`, Grant{Scope: client.Scope{AgentIDs: []uuid.UUID{}}}},
		"Types":    {`{"agent_types":["research"]}`, Grant{Scope: client.Scope{AgentTypes: []string{"research"}}}},
		"NoTypes":  {`{"agent_types":[]}`, Grant{Scope: client.Scope{AgentTypes: []string{}}}},
		"Alternatives": {`{"metadata":[{"org":42},{"org":"42"}]}`, Grant{Scope: client.Scope{MetadataAny: []map[string]any{
			{"org": json.Number("42")}, {"org": "42"},
		}}}},
		"NumbersUncut": {`{"metadata":{"n":12345678901234567890,"deep":{"a":[1.50,null]}}}`, Grant{Scope: client.Scope{Metadata: map[string]any{
			"n": json.Number("12345678901234567890"), "deep": map[string]any{"a": []any{json.Number("1.50"), nil}},
		}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims := good(map[string]any{Claim: json.RawMessage(test.claim)})
			got, err := v.Verify(t.Context(), sign(t, "HS256", []byte(secret), claims))
			require.NoError(t, err)
			require.Equal(t, "ada", got.Subject)
			require.Equal(t, claims["exp"], got.Expires.Unix())
			got.Subject, got.Expires = "", time.Time{}
			require.Equal(t, test.want, got)
		})
	}
}

// TestVerifyWithoutClaim: a token of another use of the same issuer holds, and grants nothing.
func TestVerifyWithoutClaim(t *testing.T) {
	t.Parallel()
	got, err := verifier(t, Config{Secret: secret}).Verify(t.Context(), sign(t, "HS256", []byte(secret), good(map[string]any{Claim: absent})))
	require.NoError(t, err)
	require.False(t, got.Read || got.Write || got.Cancel || got.IncludeMetadata)
}

func TestVerifyEachAlgorithm(t *testing.T) {
	t.Parallel()
	for algorithm, takes := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			cfg, signer := Config{Algorithm: algorithm}, any([]byte(secret))
			if takes == kindSecret {
				cfg.Secret = secret
			} else {
				key := keys()["RS256"]
				for _, each := range keys() {
					if kindOf(each.Public()) == takes && takes != kindRSA {
						key = each
					}
				}
				cfg.KeyFile, signer = publicPEM(t, key), key
			}
			v := verifier(t, cfg)
			token := sign(t, algorithm, signer, good())
			_, err := v.Verify(t.Context(), token)
			require.NoError(t, err)
			for i := range token { // no bit may be different
				if i%7 != 0 || token[i] == '.' {
					continue
				}
				other := token[:i] + string(token[i]^1) + token[i+1:]
				_, err := v.Verify(t.Context(), other)
				require.Error(t, err, other)
			}
		})
	}
}

// TestVerifyRefuses: each is refused with a reason that holds nothing of the token.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	v := verifier(t, Config{Secret: secret, Issuer: "https://issuer", Audience: "agentexec"})
	home := map[string]any{"iss": "https://issuer", "aud": "agentexec"}
	signed := func(changes map[string]any) string { return sign(t, "HS256", []byte(secret), good(home, changes)) }
	granting := func(claim string) string { return signed(map[string]any{Claim: json.RawMessage(claim)}) }
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	whole := signed(nil)
	part := strings.Split(whole, ".")
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	many := map[string]any{}
	for i := range 10_000 {
		many[fmt.Sprint("claim", i)] = i
	}
	for name, test := range map[string]struct{ token, reason string }{
		"Empty":             {"", "malformed"},
		"Word":              {"secretive", "malformed"},
		"TwoParts":          {part[0] + "." + part[1], "malformed"},
		"FourParts":         {whole + ".x", "malformed"},
		"Padded":            {whole + "==", "malformed"},
		"NoSignature":       {part[0] + "." + part[1] + ".", "signature"},
		"None":              {encode(`{"alg":"none"}`) + "." + part[1] + ".", "algorithm"},
		"NoneInCapitals":    {encode(`{"alg":"NONE"}`) + "." + part[1] + ".", "algorithm"},
		"NoAlgorithm":       {encode(`{}`) + "." + part[1] + "." + part[2], "algorithm"},
		"AlgorithmIsNumber": {encode(`{"alg":1}`) + "." + part[1] + "." + part[2], "algorithm"},
		"HeaderIsList":      {encode(`[]`) + "." + part[1] + "." + part[2], "malformed"},
		"OtherAlgorithm":    {sign(t, "HS384", []byte(secret), good(home)), "algorithm"},
		"OtherSecret":       {sign(t, "HS256", []byte(secret+"x"), good(home)), "signature"},
		"OtherKind":         {sign(t, "EdDSA", keys()["EdDSA"], good(home)), "algorithm"},
		"Critical":          {sign(t, "HS256", []byte(secret), good(home), "crit", "b64"), "header"},
		"ClaimsAreList":     {part[0] + "." + encode(`[]`) + "." + part[2], "malformed"},
		"ClaimsAreNull":     {part[0] + "." + encode(`null`) + "." + part[2], ""},
		"Expired":           {signed(map[string]any{"exp": ago(Leeway + time.Second)}), "expired"},
		"ExpiresIn1970":     {signed(map[string]any{"exp": 0}), "expired"},
		"ExpiresBeyondTime": {signed(map[string]any{"exp": 1e300}), "exp is malformed"},
		"ExpiresBefore1970": {signed(map[string]any{"exp": -1}), "exp is malformed"},
		"ExpiresBeyondAll":  {signed(map[string]any{"exp": json.Number("1e9999")}), "exp is malformed"},
		"NoExpiry":          {signed(map[string]any{"exp": absent}), "lacks exp"},
		"NullExpiry":        {signed(map[string]any{"exp": nil}), "lacks exp"},
		"WordExpiry":        {signed(map[string]any{"exp": "tomorrow"}), "exp is malformed"},
		"CapitalExpiry":     {signed(map[string]any{"exp": absent, "EXP": time.Now().Add(time.Hour).Unix()}), "lacks exp"},
		"NotYet":            {signed(map[string]any{"nbf": ago(-time.Hour)}), "not valid yet"},
		"NotYetBySeconds":   {signed(map[string]any{"nbf": ago(-Leeway - time.Minute)}), "not valid yet"},
		"NotIn1000Years":    {signed(map[string]any{"nbf": int64(100_000_000_000), "exp": int64(200_000_000_000)}), "not valid yet"},
		"NotYetBeyondTime":  {signed(map[string]any{"nbf": 1e300}), "nbf is malformed"},
		"NotYetBeyondInt":   {signed(map[string]any{"nbf": json.Number("9223372036854775808")}), "nbf is malformed"},
		"NotYetWord":        {signed(map[string]any{"nbf": "later"}), "nbf is malformed"},
		"IssuedLater":       {signed(map[string]any{"iat": ago(-time.Hour)}), "not valid yet"},
		"IssuedBySeconds":   {signed(map[string]any{"iat": ago(-Leeway - time.Minute)}), "not valid yet"},
		"IssuedBeyondTime":  {signed(map[string]any{"iat": 1e300}), "iat is malformed"},
		"OtherIssuer":       {signed(map[string]any{"iss": "https://issuer/"}), "issuer"},
		"NoIssuer":          {signed(map[string]any{"iss": absent}), "issuer"},
		"OtherAudience":     {signed(map[string]any{"aud": []string{"a", "b"}}), "audience"},
		"NoAudience":        {signed(map[string]any{"aud": absent}), "audience"},
		"AudienceIsNumber":  {signed(map[string]any{"aud": 7}), "aud is malformed"},
		"SubjectIsNumber":   {signed(map[string]any{"sub": 7}), "sub is malformed"},
		"LongSubject":       {signed(map[string]any{"sub": strings.Repeat("x", 256)}), "sub must be at most 255"},
		"Huge":              {signed(map[string]any{"x": strings.Repeat("x", MaxToken)}), "too long"},
		"ManyClaims":        {signed(many), "too long"},
		"Deep":              {granting(`{"metadata":` + strings.Repeat(`{"a":`, 1000) + `1` + strings.Repeat("}", 1001)), "too long|metadata|malformed"},
		"GrantIsTrue":       {granting(`true`), "must be an object"},
		"GrantIsNull":       {granting(`null`), "must be an object"},
		"UnknownKey":        {granting(`{"read":true,"projects":["secretive"]}`), `"projects" is not known`},
		"OtherCapitals":     {granting(`{"Read":true}`), `"Read" is not known`},
		"VerbIsWord":        {granting(`{"read":"true"}`), "read must be true or false"},
		"VerbIsNumber":      {granting(`{"write":1}`), "write must be true or false"},
		"IDsAreNull":        {granting(`{"read":true,"agent_ids":null}`), "agent_ids must be a list"},
		"IDsAreOne":         {granting(`{"agent_ids":"8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11"}`), "agent_ids must be a list"},
		"IDIsWord":          {granting(`{"agent_ids":["secretive"]}`), "agent_ids must be a list of UUIDs"},
		"IDIsURN":           {granting(`{"agent_ids":["urn:uuid:8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11"]}`), "agent_ids"},
		"TypesAreNull":      {granting(`{"agent_types":null}`), "agent_types must be a list"},
		"TypeIsNumber":      {granting(`{"agent_types":[1]}`), "agent_types must be a list"},
		"TypeWithNUL":       {granting(`{"agent_types":["a\u0000"]}`), "agent_types must be"},
		"MetadataIsNull":    {granting(`{"metadata":null}`), "metadata must be an object"},
		"MetadataIsEmpty":   {granting(`{"metadata":[]}`), "metadata must be an object, or a list of 1 to 16 objects"},
		"MetadataOfNumbers": {granting(`{"metadata":[{"a":1},2]}`), "metadata must be an object"},
		"MetadataOfNulls":   {granting(`{"metadata":[null]}`), "metadata must be an object"},
		"MetadataOfTooMany": {granting(`{"metadata":[` + strings.Repeat(`{"a":1},`, 16) + `{"a":1}]}`), "metadata must be an object"},
		"AlternativesNUL":   {granting(`{"metadata":[{"a":1},{"a":"\u0000"}]}`), "metadata holds"},
		"MetadataWithNUL":   {granting(`{"metadata":{"a":["\u0000"]}}`), "metadata holds"},
		"MetadataNumber":    {granting(`{"metadata":{"a":1e999999}}`), "metadata holds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(t.Context(), test.token)
			var refused *Refused
			require.ErrorAs(t, err, &refused)
			require.Regexp(t, test.reason, refused.Reason)
			require.NotContains(t, refused.Reason, "secretive")
			for _, p := range strings.Split(test.token, ".") {
				require.True(t, p == "" || !strings.Contains(refused.Reason, p), refused.Reason)
			}
		})
	}
}

// TestVerifyLeeway: clocks may be half a minute apart, and no more.
func TestVerifyLeeway(t *testing.T) {
	t.Parallel()
	v := verifier(t, Config{Secret: secret})
	now := time.Unix(1_900_000_000, 0)
	v.now = func() time.Time { return now }
	for _, test := range []struct {
		exp, nbf time.Duration
		holds    bool
	}{
		{time.Second, 0, true}, {-29 * time.Second, 0, true}, {-30 * time.Second, 0, false},
		{time.Hour, 30 * time.Second, true}, {time.Hour, 31 * time.Second, false},
	} {
		g, err := v.Verify(t.Context(), sign(t, "HS256", []byte(secret), good(map[string]any{
			"exp": now.Add(test.exp).Unix(), "nbf": now.Add(test.nbf).Unix(),
		})))
		require.Equal(t, test.holds, err == nil, test)
		if test.holds {
			require.True(t, g.Until(now).After(now), "a connection that was just opened must not end at once")
		}
	}
}

// TestKeyConfusion: the public key must not work as a secret.
func TestKeyConfusion(t *testing.T) {
	t.Parallel()
	file := publicPEM(t, keys()["RS256"])
	pemText, err := os.ReadFile(file)
	require.NoError(t, err)
	v := verifier(t, Config{KeyFile: file, Algorithm: "RS256"})
	for _, algorithm := range []string{"HS256", "HS384", "HS512"} {
		_, err = v.Verify(t.Context(), sign(t, algorithm, pemText, good()))
		require.ErrorContains(t, err, "algorithm")
	}
	_, err = v.Verify(t.Context(), sign(t, "none", jwt.UnsafeAllowNoneSignatureType, good()))
	require.ErrorContains(t, err, "algorithm")
	_, err = v.Verify(t.Context(), sign(t, "RS512", keys()["RS256"], good()))
	require.ErrorContains(t, err, "algorithm")
	_, err = v.Verify(t.Context(), sign(t, "RS256", keys()["other RS256"], good()))
	require.ErrorContains(t, err, "signature")

	_, err = New(Config{Secret: string(pemText)})
	require.ErrorContains(t, err, "AGENTEXEC_JWT_KEY_FILE")
}

// TestVerifyRemembers: a token that is known is looked at for what time changes, and the memory is bounded.
func TestVerifyRemembers(t *testing.T) {
	t.Parallel()
	v := verifier(t, Config{Secret: secret})
	now := time.Now()
	v.now = func() time.Time { return now }
	token := sign(t, "HS256", []byte(secret), good())
	first, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	again, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, first, again)
	now = now.Add(time.Hour + Leeway + time.Second)
	_, err = v.Verify(t.Context(), token)
	require.ErrorContains(t, err, "expired")

	now = time.Now()
	for i := range 3 * maxVerified {
		v.known.put(fmt.Sprint(i), Grant{}, nil)
	}
	require.Equal(t, maxVerified, v.known.cache.Len())
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err)
}

// BenchmarkVerify checks tokens that are seen for the first time, and one that is known.
func BenchmarkVerify(b *testing.B) {
	claim := map[string]any{Claim: map[string]any{
		"read": true, "cancel": true, "agent_types": []string{"research", "review"}, "metadata": map[string]any{"organization_id": "org-1"},
	}, "iss": "https://issuer.example", "aud": "agentexec"}
	for _, algorithm := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		b.Run(algorithm, func(b *testing.B) {
			cfg, key := Config{Secret: secret, Issuer: "https://issuer.example", Audience: "agentexec"}, any([]byte(secret))
			if algorithm != "HS256" {
				cfg.Secret, cfg.Algorithm, key = "", algorithm, keys()[algorithm]
				cfg.KeyFile = publicPEM(b, keys()[algorithm])
			}
			v := verifier(b, cfg)
			token := sign(b, algorithm, key, good(claim))
			for _, known := range []bool{false, true} {
				b.Run(map[bool]string{false: "First", true: "Known"}[known], func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if !known {
							v.known.cache.Purge()
						}
						if _, err := v.Verify(b.Context(), token); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}
