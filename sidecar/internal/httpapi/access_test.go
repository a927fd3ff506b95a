package httpapi

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
)

const testSecret = "0123456789abcdef0123456789abcdef"

// minted returns a token for the tests' secret. Without an expiry it holds for an hour.
func minted(t testing.TB, g auth.Grant) string {
	t.Helper()
	if g.Expires.IsZero() {
		g.Expires = time.Now().Add(time.Hour)
	}
	token, err := auth.Mint(auth.MintConfig{Secret: testSecret}, g)
	require.NoError(t, err)
	return token
}

// serveGuardedAPI is the API with authentication on; requests bring a token that grants everything unless they have
// another.
func serveGuardedAPI(t *testing.T) *apiBundle {
	t.Helper()
	verifier, err := auth.New(auth.Config{Secret: testSecret})
	require.NoError(t, err)
	logged := &logtest.Buffer{}
	b := serveAPI(t, pgtest.New(t), func(a *api) {
		a.Log = logged.Logger()
		a.Access = access.With(verifier, nil, a.Log)
	})
	everything := auth.Everything()
	everything.Subject = "ada"
	b.logged, b.token = logged, minted(t, everything)
	return b
}

// requests are all that the API takes, by what they need.
func requests(id uuid.UUID) map[access.Verb][][3]string {
	return map[access.Verb][][3]string{
		access.VerbRead: {
			{"GET", "/v1/activities"}, {"GET", path(id)}, {"GET", "/v1/stats"}, {"POST", ticketsPath},
			{"GET", questionsPath}, {"GET", path(id) + "/questions/deploy"},
		},
		access.VerbWrite: {
			{"POST", "/v1/activities", `{"task_name":"x"}`}, {"POST", path(id) + "/logs", `{"message":"x"}`},
			{"POST", path(id) + "/complete"}, {"POST", path(id) + "/error"}, {"POST", path(id) + "/heartbeat", `{"expect_every":"30s"}`},
			{"POST", path(id) + "/questions", `{"key":"deploy","prompt":"Deploy?"}`}, {"POST", path(id) + "/questions/deploy/withdraw"},
		},
		access.VerbAnswer: {
			{"POST", path(id) + "/questions/deploy/answer", `{"answer":true}`}, {"POST", path(id) + "/questions/deploy/decline"},
		},
		access.VerbCancel: {
			{"POST", path(id) + "/cancel"}, {"POST", path(id) + "/cancel", `{"force":true}`}, {"POST", path(id) + "/cancel", `{"grace":"1h"}`},
			{"POST", "/v1/activities/cancel-pending", `{"all":true}`},
		},
	}
}

// TestAccessVerbs: a verb that was not granted is denied, whatever else was, and nothing is written.
func TestAccessVerbs(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	id := b.create(t)
	b.ask(t, id)
	before := b.contents(t)
	without := func(deny func(*auth.Grant)) auth.Grant {
		grant := auth.Everything()
		deny(&grant)
		return grant
	}
	grants := map[access.Verb]auth.Grant{
		access.VerbRead: without(func(g *auth.Grant) { g.Read = false }), access.VerbWrite: without(func(g *auth.Grant) { g.Write = false }),
		access.VerbCancel: without(func(g *auth.Grant) { g.Cancel = false }), access.VerbAnswer: without(func(g *auth.Grant) { g.Answer = false }),
	}
	seen := map[string]bool{}
	for needs, all := range requests(id) {
		for _, r := range all {
			detail := b.do(t, r[0], r[1], r[2], "Authorization", "Bearer "+minted(t, grants[needs])).problem(t, 403, "forbidden")
			require.Equal(t, "the token does not grant "+string(needs), detail)
			b.do(t, r[0], r[1], r[2], "Authorization", "Bearer "+minted(t, auth.Grant{})).problem(t, 403, "forbidden")
			for _, header := range []string{"", "Bearer", "Bearer ", "Basic YTpi", "Bearer nonsense", "Token " + b.token, "Bearer " + b.token + "x"} {
				reply := b.do(t, r[0], r[1], r[2], "Authorization", header)
				reply.problem(t, 401, "unauthorized")
				require.Equal(t, `Bearer realm="agentexec"`, reply.header.Get("WWW-Authenticate"))
			}
			seen[r[0]+" "+strings.NewReplacer(id.String(), "{agent_id}", "/deploy", "/{key}").Replace(r[1])] = true
		}
	}
	require.Equal(t, before, b.contents(t))
	for _, route := range routes {
		require.True(t, seen[route.pattern], "%s is not tested", route.pattern)
	}
	old := id
	for needs, all := range requests(old) {
		g := auth.Grant{
			Read: needs == access.VerbRead, Write: needs == access.VerbWrite, Cancel: needs == access.VerbCancel, Answer: needs == access.VerbAnswer,
		}
		for _, r := range all {
			id := b.create(t)
			b.ask(t, id)
			at := strings.ReplaceAll(r[1], old.String(), id.String())
			require.Less(t, b.do(t, r[0], at, r[2], "Authorization", "bearer "+minted(t, g)).status, 300, at)
		}
	}
}

// TestAccessUnknownRoutes: without a token a client does not learn which routes exist.
func TestAccessUnknownRoutes(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	for _, target := range []string{"/v1/nothing", "/v1/", "/v1/activities/x/y/z"} {
		b.do(t, "GET", target, "", "Authorization", "").problem(t, 401, "unauthorized")
		b.do(t, "GET", target, "").problem(t, 404, "no_route")
	}
	b.do(t, "DELETE", "/v1/activities", "", "Authorization", "").problem(t, 401, "unauthorized")
	b.do(t, "DELETE", "/v1/activities", "").problem(t, 405, "method_not_allowed")
	require.Equal(t, 200, b.do(t, "GET", "/openapi.json", "", "Authorization", "").status)
}

// TestAccessCancelByLine: a line that cancels needs the right to cancel as well.
func TestAccessCancelByLine(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	id := b.create(t)
	writer := []string{"Authorization", "Bearer " + minted(t, auth.Grant{Write: true})}
	b.do(t, "POST", path(id)+"/logs", `{"message":"x","status":"CANCELED"}`, writer...).problem(t, 403, "forbidden")
	b.do(t, "POST", path(id)+"/logs", `{"message":"x","status":"Canceled"}`, writer...).problem(t, 403, "forbidden")
	require.Equal(t, 201, b.do(t, "POST", path(id)+"/logs", `{"message":"x","status":"RUNNING"}`, writer...).status)
	require.Equal(t, 201, b.do(t, "POST", path(id)+"/logs", `{"message":"x","status":"CANCELED"}`,
		"Authorization", "Bearer "+minted(t, auth.Grant{Write: true, Cancel: true})).status)
}

// TestAccessMetadata: it never leaves unless asked for and allowed.
func TestAccessMetadata(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	id := b.create(t, client.WithMetadata(map[string]any{"org": "1"}))
	reader := []string{"Authorization", "Bearer " + minted(t, auth.Grant{Read: true})}
	for _, target := range []string{"/v1/activities", path(id)} {
		require.NotContains(t, b.get(t, target, 200).text, "metadata")
		require.NotContains(t, b.get(t, target+"?include_metadata=false", 200).text, "metadata")
		require.Contains(t, b.get(t, target+"?include_metadata=true", 200).text, `"metadata": {"org": "1"}`)
		b.do(t, "GET", target+"?include_metadata=true", "", reader...).problem(t, 403, "forbidden")
		require.Equal(t, 200, b.do(t, "GET", target+"?include_metadata=", "", reader...).status)
		b.get(t, target+"?include_metadata=yes", 422).problem(t, 422, "TA422")
	}
}

// TestAuditLines: every write that is asked for leaves one line with who, what, which activity and what came of it.
func TestAuditLines(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	created := decoded[map[string]string](t, b.post(t, "/v1/activities", `{"task_name":"x"}`, 201).text)["agent_id"]
	id := uuid.MustParse(created)
	b.post(t, path(id)+"/logs", `{"message":"do not log this"}`, 201)
	b.post(t, path(id)+"/complete", "", 200)
	b.post(t, path(id)+"/cancel", "", 409)
	b.post(t, path(uuid.Nil)+"/cancel", "", 404)
	b.post(t, path(id)+"/logs", "{", 400)
	b.post(t, "/v1/activities/x%20status=200/error", "", 422)
	b.do(t, "POST", path(id)+"/logs", "message", "Content-Type", "text/plain").problem(t, 415, "unsupported_media_type")
	b.post(t, "/v1/activities/cancel-pending", `{"all":true}`, 200)
	b.do(t, "POST", path(id)+"/cancel", "", "Authorization", "Bearer "+minted(t, auth.Grant{Subject: "eve"})).problem(t, 403, "forbidden")
	b.get(t, path(id), 200)
	b.post(t, ticketsPath, "", 201)
	b.post(t, "/v1/nothing", "", 404)

	var lines []string
	for line := range strings.Lines(b.logged.String()) {
		if _, line, ok := strings.Cut(line, "msg=audit "); ok {
			require.Regexp(t, ` remote=127\.0\.0\.1:\d+ `, line)
			who, rest, _ := strings.Cut(line, " remote=")
			_, rest, _ = strings.Cut(rest, " ")
			lines = append(lines, who+" "+strings.TrimSpace(strings.ReplaceAll(rest, "/v1/activities", "")))
		}
	}
	require.Equal(t, []string{
		`who=ada what="" activity=` + created + ` status=201`,
		`who=ada what=/{agent_id}/logs activity=` + created + ` status=201`,
		`who=ada what=/{agent_id}/complete activity=` + created + ` status=200`,
		`who=ada what=/{agent_id}/cancel activity=` + created + ` status=409`,
		`who=ada what=/{agent_id}/cancel activity=` + uuid.Nil.String() + ` status=404`,
		`who=ada what=/{agent_id}/logs activity=` + created + ` status=400`,
		`who=ada what=/{agent_id}/error activity="x status=200" status=422`,
		`who=ada what=/{agent_id}/logs activity=` + created + ` status=415`,
		`who=ada what=/cancel-pending activity="" status=200`,
		`who=eve what=/{agent_id}/cancel activity=` + created + ` status=403`,
	}, fixEmpty(lines))
	require.NotContains(t, b.logged.String(), "do not log this")
}

// fixEmpty writes an empty value as slog does, after the common beginning of all paths was cut off.
func fixEmpty(lines []string) []string {
	for i, line := range lines {
		lines[i] = strings.Replace(line, "what= ", `what="" `, 1)
	}
	return lines
}

// TestAuditOfAPanic: also where we fail, the attempt is on record.
func TestAuditOfAPanic(t *testing.T) {
	t.Parallel()
	logged := &logtest.Buffer{}
	b := serveAPI(t, pgtest.New(t), func(a *api) {
		a.reads, a.writes = nil, nil
		a.Log = logged.Logger()
	})
	b.post(t, path(uuid.Nil)+"/cancel", "", 500)
	require.Regexp(t, `msg=audit who=anonymous remote=\S+ what=/v1/activities/{agent_id}/cancel activity=`+uuid.Nil.String()+" status=500", logged.String())
}

// TestRefusalsAreFewLines: a thousand refused requests do not fill the log.
func TestRefusalsAreFewLines(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	b.do(t, "GET", "/v1/a%20%22b%22%0A", "", "Authorization", "").problem(t, 401, "unauthorized")
	require.Contains(t, b.logged.String(), ` path="/v1/a \"b\"\n"`+"\n", "quoted once")
	for range 300 {
		b.do(t, "GET", "/v1/stats", "", "Authorization", "Bearer nonsense").problem(t, 401, "unauthorized")
	}
	n := strings.Count(b.logged.String(), "refused a request")
	require.Greater(t, n, 10)
	require.Less(t, n, 200)
	require.NotContains(t, b.logged.String(), "nonsense")
}

// TestOrigins: pages of an allowed origin may do what those of the own one may, and only they.
func TestOrigins(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	allowed, err := access.New(access.Config{
		AllowOrigins: []string{"https://app.example.com"}, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	b := serveAPI(t, db, func(a *api) { a.Access = allowed })
	b.server.Config.Handler = allowed.Shared(b.server.Config.Handler)
	id := b.create(t)
	const app, evil = "https://app.example.com", "https://evil.example.com"

	asked := b.do(t, "OPTIONS", path(id)+"/complete", "", "Origin", app, "Access-Control-Request-Method", "POST",
		"Access-Control-Request-Headers", "authorization,content-type")
	require.Equal(t, 204, asked.status)
	require.Equal(t, app, asked.header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "GET, POST", asked.header.Get("Access-Control-Allow-Methods"))
	require.Contains(t, asked.header.Get("Access-Control-Allow-Headers"), "Authorization")
	require.Empty(t, asked.header.Get("Access-Control-Allow-Credentials"))

	for _, origin := range []string{evil, "null", app + ".evil.example.com"} {
		r := b.do(t, "OPTIONS", path(id)+"/complete", "", "Origin", origin, "Access-Control-Request-Method", "POST")
		require.GreaterOrEqual(t, r.status, 400)
		require.Empty(t, r.header.Get("Access-Control-Allow-Origin"))
		b.do(t, "POST", path(id)+"/complete", "", "Origin", origin, "Sec-Fetch-Site", "cross-site").problem(t, 403, "forbidden")
		require.Empty(t, b.do(t, "GET", path(id), "", "Origin", origin).header.Get("Access-Control-Allow-Origin"))
	}
	r := b.do(t, "GET", path(id), "", "Origin", app, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, app, r.header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "Origin", r.header.Get("Vary"))
	r = b.do(t, "POST", path(id)+"/complete", "", "Origin", app, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, 200, r.status)
	require.Equal(t, app, r.header.Get("Access-Control-Allow-Origin"))

	plain := httptest.NewRecorder()
	access.With(nil, nil, slog.New(slog.DiscardHandler)).Shared(http.NotFoundHandler()).ServeHTTP(plain, httptest.NewRequest(http.MethodOptions, "/", nil))
	require.Empty(t, plain.Header().Get("Vary"))
}

// TestAccessScope: outside the scope of a token nothing exists, by any route, and nothing is made there.
func TestAccessScope(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	ours := b.create(t, client.WithMetadata(map[string]any{"org": "1"}))
	theirs := b.create(t, client.WithMetadata(map[string]any{"org": "2"}))
	b.ask(t, ours)
	b.ask(t, theirs)
	scoped := auth.Everything()
	scoped.Scope = client.Scope{Metadata: map[string]any{"org": "1"}, AgentTypes: []string{"research"}}
	b.token = minted(t, scoped)

	before := b.query(t, "select json_agg(a)::text from agentexec.activity a where agent_id = $1", theirs)
	for _, all := range requests(theirs) {
		for _, r := range all {
			if strings.HasPrefix(r[1], path(theirs)) {
				mine, nobodys := b.do(t, r[0], r[1], r[2]), b.do(t, r[0], strings.ReplaceAll(r[1], theirs.String(), uuid.Nil.String()), r[2])
				require.Equal(t, strings.ReplaceAll(nobodys.problem(t, 404, "TA404"), uuid.Nil.String(), theirs.String()),
					mine.problem(t, 404, "TA404"), "as if there were none")
			}
		}
	}
	require.NotContains(t, b.get(t, "/v1/activities", 200).text, theirs.String())
	require.Contains(t, b.get(t, "/v1/activities", 200).text, ours.String())
	require.Contains(t, b.get(t, "/v1/activities", 200).text, `"total": 1`)
	require.Contains(t, b.get(t, "/v1/stats", 200).text, `"active":1}`)
	questions := b.get(t, questionsPath, 200).text
	require.Contains(t, questions, ours.String())
	require.NotContains(t, questions, theirs.String())
	require.Contains(t, b.get(t, questionsPath+"?agent_id="+theirs.String(), 200).text, `"items": []`)
	b.post(t, "/v1/activities", `{"task_name":"research","metadata":{"org":"1"},"parent_agent_id":"`+theirs.String()+`"}`, 404).problem(t, 404, "TA404")
	for _, body := range []string{
		`{"task_name":"research"}`, `{"task_name":"other","metadata":{"org":"1"}}`, `{"task_name":"research","metadata":{"org":"2"}}`,
	} {
		b.post(t, "/v1/activities", body, 403).problem(t, 403, "forbidden")
	}
	b.post(t, "/v1/activities", `{"task_name":"research","metadata":{"org":"1","more":true}}`, 201)
	require.JSONEq(t, `{"canceled":2,"skipped":0}`, b.post(t, "/v1/activities/cancel-pending", `{"all":true}`, 200).text)
	require.Equal(t, before, b.query(t, "select json_agg(a)::text from agentexec.activity a where agent_id = $1", theirs))

	nothing := auth.Everything()
	nothing.Scope.AgentIDs = []uuid.UUID{}
	b.token = minted(t, nothing)
	require.Contains(t, b.get(t, "/v1/activities", 200).text, `"total": 0`)
	b.get(t, path(ours), 404)
}
