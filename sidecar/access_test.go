package sidecar

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
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
		a.log = logged.Logger()
		a.access = newAccess(verifier, nil, a.log)
	})
	everything := auth.Everything()
	everything.Subject = "ada"
	b.logged, b.token = logged, minted(t, everything)
	return b
}

// requests are all that the API takes, by what they need.
func requests(id uuid.UUID) map[verb][][3]string {
	return map[verb][][3]string{
		verbRead: {{"GET", "/v1/activities"}, {"GET", path(id)}, {"GET", "/v1/stats"}, {"POST", ticketsPath}},
		verbWrite: {
			{"POST", "/v1/activities", `{"task_name":"x"}`}, {"POST", path(id) + "/logs", `{"message":"x"}`},
			{"POST", path(id) + "/complete"}, {"POST", path(id) + "/error"},
		},
		verbCancel: {{"POST", path(id) + "/cancel"}, {"POST", "/v1/activities/cancel-pending", `{"all":true}`}},
	}
}

// TestAccessVerbs: a verb that was not granted is denied, whatever else was, and nothing is written.
func TestAccessVerbs(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	id := b.create(t)
	before := b.contents(t)
	grants := map[verb]auth.Grant{
		verbRead: {Write: true, Cancel: true, IncludeMetadata: true}, verbWrite: {Read: true, Cancel: true, IncludeMetadata: true},
		verbCancel: {Read: true, Write: true, IncludeMetadata: true},
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
			seen[r[0]+" "+strings.ReplaceAll(r[1], id.String(), "{agent_id}")] = true
		}
	}
	require.Equal(t, before, b.contents(t))
	for pattern := range b.api.verbs {
		require.True(t, seen[pattern], "%s is not tested", pattern)
	}
	old := id
	for needs, all := range requests(old) {
		g := auth.Grant{Read: needs == verbRead, Write: needs == verbWrite, Cancel: needs == verbCancel}
		for _, r := range all {
			id := b.create(t)
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
		a.access = newAccess(nil, nil, logged.Logger())
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

func TestTickets(t *testing.T) {
	t.Parallel()
	var all tickets
	now := time.Now()
	ada, bob := auth.Grant{Subject: "ada", Expires: now.Add(time.Hour)}, auth.Grant{Subject: "bob", Expires: now.Add(time.Hour)}
	one := all.make(ada, now)
	require.NotEmpty(t, one)
	g, ok := all.use(one, now)
	require.True(t, ok)
	require.Equal(t, ada, g)
	_, ok = all.use(one, now)
	require.False(t, ok, "once")
	_, ok = all.use("", now)
	require.False(t, ok)

	late := all.make(ada, now)
	_, ok = all.use(late, now.Add(ticketLife-time.Nanosecond))
	require.True(t, ok)
	late = all.make(ada, now)
	_, ok = all.use(late, now.Add(ticketLife))
	require.False(t, ok, "for 30 seconds")

	// One subject does not take all, and all together do not take more than there is.
	now = now.Add(time.Hour)
	fresh := func(g auth.Grant) auth.Grant { g.Expires = now.Add(time.Hour); return g }
	for range maxSubjectTickets {
		require.NotEmpty(t, all.make(fresh(ada), now))
	}
	require.Empty(t, all.make(fresh(ada), now))
	require.NotEmpty(t, all.make(fresh(bob), now))
	for n := range maxTickets {
		all.make(auth.Grant{Subject: fmt.Sprint(n), Expires: now.Add(time.Hour)}, now)
	}
	require.Len(t, all.made, maxTickets)
	require.LessOrEqual(t, len(all.grants), maxTickets)
	require.Empty(t, all.make(fresh(bob), now))
	now = now.Add(ticketLife)
	require.NotEmpty(t, all.make(fresh(bob), now))
	require.Len(t, all.made, 1)
	require.Len(t, all.grants, 1)
	require.Len(t, all.subjects, 1)

	// A ticket is worth no more than the token it was made with.
	short := all.make(auth.Grant{Expires: now.Add(-auth.Leeway + time.Second)}, now)
	_, ok = all.use(short, now.Add(2*time.Second))
	require.False(t, ok)
}

func TestReadOrigins(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"https://app.example.com", "http://localhost:3000", "https://[::1]:8443", "http://192.0.2.1", "https://xn--bcher-kva.example",
		"tauri://localhost", "capacitor://localhost", "ionic://localhost", "app://obsidian.md", "app://-", "chrome-extension://abcdefghijklmnop",
		"moz-extension://8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11", "vscode-webview://1k2abc", "vscode-file://vscode-app", "com.example.app://x:8080",
	} {
		o, err := readOrigins([]string{text}, false)
		require.NoError(t, err, text)
		require.True(t, o.names(text))
		require.True(t, o.names(strings.ToUpper(text)))
		for _, other := range []string{
			"", "null", text + ".evil.com", "https://evil.com", "tauri://evil", strings.Replace(text, "://", "://x.", 1), text + ":1", "x" + text,
			strings.Replace(text, "://", "s://", 1), text + "/", text + "/x", text + "@evil.com",
		} {
			require.False(t, o.names(other), "%s %s", text, other)
		}
	}
	for text, sent := range map[string]string{ // as browsers write it
		"https://app.example.com:443": "https://app.example.com", "http://app.example.com:80": "http://app.example.com",
		"https://[0:0:0:0:0:0:0:1]:8443": "https://[::1]:8443", "HTTPS://App.Example.Com": "https://app.example.com",
	} {
		o, err := readOrigins([]string{text}, false)
		require.NoError(t, err, text)
		require.True(t, o.names(sent), text)
	}
	for _, text := range []string{
		"", "null", "app.example.com", "https://app.example.com/", "https://app.example.com/x", "https://*.example.com ", "ftp://x", "https://",
		"https://u:p@x", "https://x?y", "https://x#y", "*", "https://b\u00fccher.example", "wss://app.example.com", "file://", "file:///x", "data://x",
		"https://x:0", "https://x:65536", "https://x:", "https://x:08", "https://[x]", "https://[::1", "https://a..b", "1x://y", "https:/x", "tauri://",
	} {
		_, err := readOrigins([]string{text}, false)
		require.Error(t, err, text)
	}
	o, err := readOrigins([]string{"*"}, true)
	require.NoError(t, err)
	require.True(t, o.names("https://anything"))
}

// TestOriginWildcards: a * is the first label of a host and nothing else.
func TestOriginWildcards(t *testing.T) {
	t.Parallel()
	for text, matches := range map[string][]string{
		"https://*.example.com":      {"https://a.example.com", "https://A-1.Example.com"},
		"https://*.example.com:8443": {"https://a.example.com:8443"},
		"https://*.example.com:443":  {"https://a.example.com"},
		"http://*.localhost:3000":    {"http://app.localhost:3000"},
		"vscode-webview://*":         {"vscode-webview://1k2abc", "vscode-webview://8d0e1c9a"},
		"app://*.local":              {"app://a.local"},
	} {
		o, err := readOrigins([]string{text}, false)
		require.NoError(t, err, text)
		for _, origin := range matches {
			require.True(t, o.names(origin), "%s %s", text, origin)
		}
		for _, origin := range []string{
			"https://example.com", "https://a.b.example.com", "https://.example.com", "https://example.com.evil", "https://aexample.com", "http://a.example.com",
			"https://a.example.com:1", "https://evil/.example.com", "https://a@.example.com", "http://localhost:3000", "vscode-webview://a.b", "vscode-webview://a:1",
			"vscode-webview://", "app://local", "https://*.example.com", "", "null",
		} {
			require.False(t, o.names(origin), "%s %s", text, origin)
		}
	}
	for _, text := range []string{
		"https://*", "https://*:8443", "https://*example.com", "https://a.*.com", "https://*.*.com", "https://ex*mple.com", "https://a.example.*",
		"https://*.com", "https://*.0.0.1", "https://*.[::1]", "https://**.example.com", "*.example.com", "*://example.com", "https://*.", "https://example.com:*",
		"*://*", "tauri://*x", "wss://*.example.com", "https://*.example.com/",
	} {
		for _, authenticated := range []bool{false, true} {
			_, err := readOrigins([]string{text}, authenticated)
			require.Error(t, err, text)
			require.Contains(t, err.Error(), "allowed origin")
		}
	}
	_, err := readOrigins([]string{"https://a.*.com"}, true)
	require.ErrorContains(t, err, "first label")
}

// TestLocalOrigins are those of web servers on this machine, whatever their port.
func TestLocalOrigins(t *testing.T) {
	t.Parallel()
	o := &origins{local: true}
	for _, origin := range []string{"http://localhost:3000", "https://localhost", "http://127.0.0.1:5173", "http://[::1]:8080"} {
		require.True(t, o.names(origin), origin)
	}
	for _, origin := range []string{"", "null", "http://localhost.evil.com", "http://evil.com", "http://192.0.2.1", "tauri://localhost", "http://0.0.0.0:1"} {
		require.False(t, o.names(origin), origin)
	}
}

// TestOrigins: pages of an allowed origin may do what those of the own one may, and only they.
func TestOrigins(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	allowed, err := readOrigins([]string{"https://app.example.com"}, false)
	require.NoError(t, err)
	b := serveAPI(t, db, func(a *api) { a.access.origins = allowed })
	b.server.Config.Handler = allowed.shared(b.server.Config.Handler)
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
	(&origins{}).shared(http.NotFoundHandler()).ServeHTTP(plain, httptest.NewRequest(http.MethodOptions, "/", nil))
	require.Empty(t, plain.Header().Get("Vary"))
}

// TestAccessScope: outside the scope of a token nothing exists, by any route, and nothing is made there.
func TestAccessScope(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	ours := b.create(t, client.WithMetadata(map[string]any{"org": "1"}))
	theirs := b.create(t, client.WithMetadata(map[string]any{"org": "2"}))
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
