package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// The fuzz tests run their seeds with every test, and look further with make fuzz. Those that ask Postgres hold the whole
// way to the promise: whatever comes from outside is served or refused as the caller's fault, and nothing is ours.

// exampleID is the agent_id of an activity.
const exampleID = "8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11"

// FuzzList: whatever a query string is, the list it asks for is served or refused.
func FuzzList(f *testing.F) {
	for _, seed := range []string{
		"", "page=1&page_size=50", "page=0", "page=99999999999", "status=RUNNING,QUEUED&status=ERROR", "status=", "agent_type=%00", "agent_type=%ff",
		"metadata.org=42", "metadata.a=true&metadata.b=null&metadata.c=%22x%22", "metadata.=1", "metadata.a=1&metadata.a=2", "after=2.1772357400123456.8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11",
		"after=x", "after=%F0%9F%98%80", "page=1;page=2", "%", "a=%zz", "=", "&&&", "page_size=1000", "page_size=1001", "include_metadata=1", "metadata.%00=1",
	} {
		f.Add(seed)
	}
	api := fuzzedAPI(f)
	f.Fuzz(func(t *testing.T, raw string) {
		requireAnswered(t, api, "/v1/activities", raw)
		requireAnswered(t, api, "/v1/activities/"+exampleID, raw)
	})
}

// FuzzAfter: whatever a cursor is, a page is served or the cursor is refused.
func FuzzAfter(f *testing.F) {
	for _, seed := range []string{
		"", "2.1772357400123456." + exampleID, "0.0." + exampleID, "3.-1." + exampleID, "1.9223372036854775807." + exampleID, "1.1e5." + exampleID,
		"1.1.x", "..", "1", "\x00", "\xff", strings.Repeat("9", 1000), "1.infinity." + exampleID, "１.1." + exampleID,
	} {
		f.Add(seed)
	}
	api := fuzzedAPI(f)
	f.Fuzz(func(t *testing.T, after string) {
		requireAnswered(t, api, "/v1/activities", url.Values{"after": {after}}.Encode())
	})
}

// FuzzClaim: whatever a claim grants, in a token that holds, its scope is one that Postgres understands, or the token is
// refused.
func FuzzClaim(f *testing.F) {
	for _, seed := range []string{
		`{"read":true}`, `{"read":true,"agent_ids":[]}`, `{"read":true,"agent_ids":["` + exampleID + `"],"agent_types":["a","\u0000"],"metadata":{"org":"1"}}`,
		`{"read":true,"metadata":{"a":{"b":[1,2.5e300,null,true]}}}`, `{"read":true,"metadata":{"a":1e400}}`, `{"read":true,"metadata":{"a":"\ud800"}}`,
		`{"read":"true"}`, `{"READ":true}`, `null`, `[]`, `{"read":true,"read":false}`, `{"read":true,"metadata":null}`, `{"read":true,"agent_types":[""]}`,
		`{"read":true,"metadata":{"` + strings.Repeat("x", 300) + `":1}}`, `{"read":true,"metadata":{"a":9007199254740993}}`,
	} {
		f.Add([]byte(seed))
	}
	verifier, err := auth.New(auth.Config{Secret: testSecret})
	require.NoError(f, err)
	guarded := fuzzedAPI(f, func(a *api) { a.Access = access.With(verifier, nil, a.Log) })
	f.Fuzz(func(t *testing.T, claim []byte) {
		if !json.Valid(claim) {
			return // no token is made of that
		}
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix(), auth.Claim: json.RawMessage(claim)})
		text, err := token.SignedString([]byte(testSecret))
		require.NoError(t, err)
		for _, target := range []string{"/v1/activities", "/v1/stats", "/v1/activities/" + exampleID} {
			w := answerTo(t, guarded, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: target}, Header: http.Header{"Authorization": {"Bearer " + text}}})
			require.Contains(t, []int{200, 401, 403, 404}, w.Code, "%s: %s", claim, w.Body)
		}
	})
}

// fuzzedAPI is the API over a database with a few activities, without a server: only its answers are looked at.
func fuzzedAPI(f *testing.F, tweaks ...func(*api)) http.Handler {
	f.Helper()
	db := pgtest.New(f)
	c := client.New(db.Pool(f))
	_, err := c.Create(context.Background(), "research", "queued", client.WithAgentID(uuid.MustParse(exampleID)), client.WithMetadata(map[string]any{"org": "42"}))
	require.NoError(f, err)
	return serveAPI(f, db, func(a *api) {
		for _, tweak := range tweaks {
			tweak(a)
		}
	}).api.handler()
}

func answerTo(t *testing.T, api http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r.Body, r.RemoteAddr = http.NoBody, "127.0.0.1:1"
	api.ServeHTTP(w, r.WithContext(t.Context()))
	return w
}

// requireAnswered asks and wants an answer, or a problem that says what the caller did.
func requireAnswered(t *testing.T, api http.Handler, path, rawQuery string) {
	t.Helper()
	w := answerTo(t, api, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path, RawQuery: rawQuery}, Header: http.Header{}})
	switch w.Code {
	case http.StatusOK:
		require.True(t, json.Valid(w.Body.Bytes()))
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		require.Equal(t, problem.ContentType, w.Header().Get("Content-Type"))
		require.LessOrEqual(t, w.Body.Len(), 600+20*len(rawQuery))
	default:
		t.Fatalf("%q: %d %s", rawQuery, w.Code, w.Body)
	}
}
