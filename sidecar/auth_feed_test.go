package sidecar_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
	"github.com/agentexec/agentexec/wsfeed"
)

const jwtSecret = "0123456789abcdef0123456789abcdef"

func withTokens(c *sidecar.Config) { c.Auth.Secret = jwtSecret }

// token mints one that grants g, by default for an hour.
func token(t testing.TB, g auth.Grant) string {
	t.Helper()
	if g.Expires.IsZero() {
		g.Expires = time.Now().Add(time.Hour)
	}
	text, err := auth.Mint(auth.MintConfig{Secret: jwtSecret}, g)
	require.NoError(t, err)
	return text
}

func reader(t testing.TB) string { return token(t, auth.Grant{Subject: "ada", Read: true}) }

// dialWith opens a socket with a token, as a browser does: among the subprotocols.
func (s *service) dialWith(t testing.TB, path, token string) *socket {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"agentexec.v1", "bearer." + token}, HandshakeTimeout: patience}
	ws, resp, err := d.Dial("ws"+strings.TrimPrefix(s.url, "http")+path, nil)
	if err != nil && resp != nil {
		body, _ := io.ReadAll(resp.Body)
		t.Log(resp.StatusCode, string(body))
	}
	require.NoError(t, err)
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	require.Equal(t, []string{"agentexec.v1"}, resp.Header.Values("Sec-Websocket-Protocol"), "the token is not repeated")
	return &socket{ws}
}

// ask sends a request and returns the status, the header and the body.
func (s *service) ask(t testing.TB, method, path string, headers ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
	require.NoError(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	r.Host = r.Header.Get("Host")
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, string(body)
}

func (s *service) ticket(t testing.TB, token string) string {
	t.Helper()
	status, _, body := s.ask(t, "POST", "/v1/feed/tickets", "Authorization", "Bearer "+token)
	require.Equal(t, 201, status, body)
	var made struct {
		Ticket    string `json:"ticket"`
		ExpiresIn int    `json:"expires_in"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &made))
	require.Equal(t, 30, made.ExpiresIn)
	return made.Ticket
}

// TestFeedTakesTokens: in each of the ways, and a whole feed comes.
func TestFeedTakesTokens(t *testing.T) {
	t.Parallel()
	s := setup(t, withTokens)
	id := s.create(t, "one", "two")
	so := s.dialWith(t, "/v1/feed", reader(t))
	require.Equal(t, "welcome", so.next(t).Type)
	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.lines(t, 0, 3)

	single := s.dialWith(t, "/v1/feed/"+id.String(), reader(t))
	require.Equal(t, "snapshot", single.next(t).Type)
	single.lines(t, 0, 3)

	for _, path := range []string{"/v1/feed", "/v1/feed/" + id.String()} {
		ws, resp, err := dial(s.url, path, http.Header{"Authorization": {"Bearer " + reader(t)}})
		require.NoError(t, err)
		_ = resp.Body.Close()
		require.NoError(t, ws.Close())
		ws, resp, err = dial(s.url, path+"?ticket="+s.ticket(t, reader(t)), nil)
		require.NoError(t, err)
		_ = resp.Body.Close()
		require.NoError(t, ws.Close())
	}
}

// TestFeedTickets: an EventSource comes with a ticket, once; a ticket opens nothing but feeds.
func TestFeedTickets(t *testing.T) {
	t.Parallel()
	s := setup(t, withTokens)
	id := s.create(t, "one")
	_, err := s.c.Complete(t.Context(), id, "done")
	require.NoError(t, err)
	ticket := s.ticket(t, reader(t))
	path := "/v1/feed/" + id.String() + "?ticket=" + ticket
	status, _, body := s.ask(t, "GET", path, "Accept", "text/event-stream")
	require.Equal(t, 200, status)
	require.Contains(t, body, "event: end\n")
	status, _, body = s.ask(t, "GET", path, "Accept", "text/event-stream")
	require.Equal(t, 401, status, "once")
	require.NotContains(t, body, ticket)

	ticket = s.ticket(t, reader(t))
	for _, path := range []string{"/v1/activities?ticket=" + ticket, "/v1/activities/" + id.String() + "?ticket=" + ticket, "/metrics?ticket=" + ticket} {
		status, _, _ := s.ask(t, "GET", path)
		require.Equal(t, 401, status)
		status, _, _ = s.ask(t, "GET", path, "Authorization", "Bearer "+ticket)
		require.Equal(t, 401, status)
	}
	status, _, _ = s.ask(t, "POST", "/v1/feed/tickets", "Authorization", "Bearer "+token(t, auth.Grant{Write: true}))
	require.Equal(t, 403, status)
	status, _, _ = s.ask(t, "POST", "/v1/feed/tickets")
	require.Equal(t, 401, status)
}

// TestTokenExpires: the socket is closed at the moment, with its own code, and the event stream ends.
func TestTokenExpires(t *testing.T) {
	t.Parallel()
	s := setup(t, withTokens)
	id := s.create(t)
	expires := time.Unix(time.Now().Add(4*time.Second).Unix(), 0) // as a token has it
	short := token(t, auth.Grant{Subject: "ada", Read: true, Expires: expires})
	many, one := s.dialWith(t, "/v1/feed", short), s.dialWith(t, "/v1/feed/"+id.String(), short)
	status, _, body := s.ask(t, "GET", "/v1/feed/"+id.String(), "Accept", "text/event-stream", "Authorization", "Bearer "+short)
	require.False(t, time.Now().Before(expires))
	require.Equal(t, 200, status)
	require.Contains(t, body, "event: error\ndata: "+`{"type":"error","code":"forbidden","message":"the token has expired"}`)
	require.Equal(t, 4401, many.closed(t))
	require.Equal(t, 4401, one.closed(t))

	// Clocks differ: it is taken for some time yet, and what it opens does not end at once again.
	for _, path := range []string{"/v1/feed", "/v1/feed/" + id.String()} {
		so := s.dialWith(t, path, short)
		so.send(t, `{"type":"ping"}`)
		for so.next(t).Type != "pong" {
		}
	}
}

// TestTokenRenewed: a socket lives as long as its newest token, and a bad one changes nothing.
func TestTokenRenewed(t *testing.T) {
	t.Parallel()
	s := setup(t, withTokens)
	id := s.create(t)
	auths := func(text string) string {
		b, _ := json.Marshal(map[string]string{"type": "auth", "token": text})
		return string(b)
	}
	expires := time.Now().Add(3 * time.Second)
	so := s.dialWith(t, "/v1/feed", token(t, auth.Grant{Subject: "ada", Read: true, Expires: expires}))
	require.Equal(t, "welcome", so.next(t).Type)
	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.lines(t, 0, 1)

	for says, bad := range map[string]string{
		"malformed":       "nonsense",
		"expired":         token(t, auth.Grant{Subject: "ada", Read: true, Expires: time.Now().Add(-time.Hour)}),
		"signature":       reader(t)[:len(reader(t))-4] + "AAAA",
		"another subject": token(t, auth.Grant{Subject: "eve", Read: true}),
		"grant read":      token(t, auth.Grant{Subject: "ada", Write: true}),
		"too long":        strings.Repeat("x", auth.MaxToken+1),
	} {
		so.send(t, auths(bad))
		m := so.next(t)
		require.Equal(t, "error", m.Type, m.raw)
		require.Equal(t, "forbidden", m.Code)
		require.Contains(t, m.Message, says)
		require.NotContains(t, m.raw, bad)
	}
	for _, text := range []string{`{"type":"auth"}`, `{"type":"auth","token":7}`, `{"type":"ping","token":"x"}`} {
		so.send(t, text)
		require.Equal(t, "invalid", so.next(t).Code)
	}
	so.send(t, auths(reader(t)))
	require.JSONEq(t, `{"type":"auth"}`, so.next(t).raw)
	require.Eventually(t, func() bool { return time.Now().After(expires) }, patience, 10*time.Millisecond)
	s.append(t, id, "still here")
	so.lines(t, 1, 1)

	so.send(t, auths(token(t, auth.Grant{Subject: "ada", Read: true, Expires: time.Now().Add(2 * time.Second)})))
	require.Equal(t, "auth", so.next(t).Type)
	require.Equal(t, 4401, so.closed(t), "a shorter one counts too")
}

// A list with metadata needs a token that grants it, and ends when a renewed token no longer does. Without authentication it needs none.
func TestListWithMetadataNeedsTheGrant(t *testing.T) {
	t.Parallel()
	s := setup(t, withTokens)
	const subscribe = `{"type":"subscribe","sub":"l","list":{"include_metadata":true}}`
	so := s.dialWith(t, "/v1/feed", reader(t))
	require.Equal(t, "welcome", so.next(t).Type)
	so.send(t, subscribe)
	m := so.next(t)
	require.Equal(t, "forbidden", m.Code, m.raw)
	require.Contains(t, m.Message, "include_metadata")

	renew := func(g auth.Grant) {
		text, _ := json.Marshal(map[string]string{"type": "auth", "token": token(t, g)})
		so.send(t, string(text))
		require.Equal(t, "auth", so.next(t).Type)
	}
	renew(auth.Grant{Subject: "ada", Read: true, IncludeMetadata: true})
	so.send(t, subscribe)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.send(t, `{"type":"subscribe","sub":"plain","list":{}}`)
	require.Equal(t, "snapshot", so.next(t).Type)
	renew(auth.Grant{Subject: "ada", Read: true})
	m = so.next(t)
	require.Equal(t, "forbidden", m.Code, m.raw)
	require.Equal(t, "l", m.sub())
	id := s.create(t)
	for shown := false; !shown; { // a read of the list at that moment may count the activity before it shows it
		m = so.next(t)
		require.Equal(t, "plain", m.sub(), m.raw)
		shown = strings.Contains(m.raw, id.String())
	}
}

// TestAuthFrameWithoutAuthentication is refused, and nothing else happens. A ticket is no matter.
func TestAuthFrameWithoutAuthentication(t *testing.T) {
	t.Parallel()
	s := setup(t)
	so := s.open(t)
	so.send(t, `{"type":"auth","token":"x"}`)
	require.Equal(t, "invalid", so.next(t).Code)
	so.send(t, `{"type":"ping"}`)
	require.Equal(t, "pong", so.next(t).Type)
	so = s.dial(t, "/v1/feed?ticket=x")
	require.Equal(t, "welcome", so.next(t).Type)
}

// TestRoutesWithoutToken: whether it lives, the page, and what the API is; all else does.
func TestRoutesWithoutToken(t *testing.T) {
	t.Parallel()
	s := setup(t, withTokens, func(c *sidecar.Config) { c.Pprof = true })
	require.Eventually(t, func() bool {
		status, _, _ := s.ask(t, "GET", "/readyz")
		return status == 200
	}, patience, 20*time.Millisecond)
	everything := auth.Everything()
	tenant := token(t, auth.Grant{Read: true, Write: true, Cancel: true, IncludeMetadata: true,
		Scope: client.Scope{Metadata: map[string]any{"org": "1"}}})
	for path, want := range map[string][4]int{ // without a token, with read of a tenant, with read, with everything
		"/healthz": {200, 200, 200, 200}, "/readyz": {200, 200, 200, 200}, "/": {200, 200, 200, 200}, "/favicon.svg": {200, 200, 200, 200},
		"/openapi.json": {200, 200, 200, 200}, "/metrics": {401, 403, 200, 200}, "/debug/pprof/cmdline": {401, 403, 403, 200},
		"/debug/pprof/": {401, 403, 403, 200}, "/v1/stats": {401, 200, 200, 200}, "/v1/feed": {401, 426, 426, 426}, "/v1/nothing": {401, 404, 404, 404},
	} {
		for i, text := range []string{"", tenant, reader(t), token(t, everything)} {
			headers := []string{"Authorization", "Bearer " + text}
			if text == "" {
				headers = nil
			}
			status, _, body := s.ask(t, "GET", path, headers...)
			require.Equal(t, want[i], status, "%s %d %s", path, i, body)
		}
	}
}

// TestFeedOrigins: a page of another origin connects only where that is allowed, token or not.
func TestFeedOrigins(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	s := setup(t, withTokens, func(c *sidecar.Config) { c.AllowOrigins = []string{app} })
	id := s.create(t)
	for origin, status := range map[string]int{app: 101, "": 101, s.url: 101, "https://evil.example.com": 403, "null": 403} {
		for _, path := range []string{"/v1/feed", "/v1/feed/" + id.String()} {
			header := http.Header{"Authorization": {"Bearer " + reader(t)}}
			if origin != "" {
				header.Set("Origin", origin)
			}
			ws, resp, err := dial(s.url, path, header)
			require.Equal(t, status, resp.StatusCode, origin)
			if err == nil {
				_ = ws.Close()
			}
			_ = resp.Body.Close()
		}
	}
	_, err := s.c.Complete(t.Context(), id, "")
	require.NoError(t, err)
	for origin, want := range map[string]string{app: app, "https://evil.example.com": ""} {
		_, header, _ := s.ask(t, "GET", "/v1/feed/"+id.String()+"?ticket="+s.ticket(t, reader(t)), "Accept", "text/event-stream", "Origin", origin)
		require.Equal(t, want, header.Get("Access-Control-Allow-Origin"))
	}

	_, err = sidecar.New(sidecar.Config{DatabaseURL: "postgres://x", AllowOrigins: []string{"*"}})
	require.ErrorContains(t, err, "authentication")
	_, err = sidecar.New(sidecar.Config{DatabaseURL: "postgres://x", AllowOrigins: []string{"app.example.com"}})
	require.ErrorContains(t, err, "scheme://host")
}

// TestAddressNeedsAuthentication: with tokens, any address may be listened on; with half a configuration none.
func TestAddressNeedsAuthentication(t *testing.T) {
	t.Parallel()
	_, err := sidecar.New(sidecar.Config{DatabaseURL: "postgres://x", Addr: "0.0.0.0:0"})
	require.ErrorContains(t, err, "no authentication is configured")
	server, err := sidecar.New(sidecar.Config{DatabaseURL: "postgres://x", Addr: "0.0.0.0:0", Auth: sidecar.Auth{Secret: jwtSecret}})
	require.NoError(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_ = server.Run(ended) // closes what New has made
	// A secret that can be guessed is no better than none.
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "[::]:0"} {
		for _, insecure := range []bool{false, true} {
			_, err = sidecar.New(sidecar.Config{DatabaseURL: "postgres://x", Addr: addr, Insecure: insecure, Auth: sidecar.Auth{Secret: jwtSecret[:31]}})
			require.ErrorContains(t, err, "AGENTEXEC_JWT_SECRET has 31 bytes", addr)
			require.NotContains(t, err.Error(), jwtSecret[:31])
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0"} {
		logged := &logtest.Buffer{}
		server, err := sidecar.New(sidecar.Config{DatabaseURL: "postgres://x", Addr: addr, Logger: logged.Logger(), Auth: sidecar.Auth{Secret: jwtSecret[:31]}})
		require.NoError(t, err)
		_ = server.Run(ended)
		require.Contains(t, logged.String(), "AGENTEXEC_JWT_SECRET is short")
	}
	// A setting that looks like authentication, and is none, is refused.
	half := sidecar.Config{DatabaseURL: "postgres://x"}
	half.Feed.Authorize = func(*http.Request) (wsfeed.Access, error) { return wsfeed.Access{}, errors.New("no access") }
	_, err = sidecar.New(half)
	require.ErrorContains(t, err, "Feed.Authorize and Feed.Renew must be nil")
	for _, addr := range []string{"0.0.0.0:0", "127.0.0.1:0"} {
		_, err = sidecar.New(sidecar.Config{DatabaseURL: "postgres://x", Addr: addr, Auth: sidecar.Auth{Issuer: "https://issuer"}})
		require.ErrorContains(t, err, "AGENTEXEC_JWT_SECRET")
	}
}

// TestRefusedTokensAreCounted: each by why, through whichever door it comes, and docs/metrics.md knows all the reasons.
func TestRefusedTokensAreCounted(t *testing.T) {
	t.Parallel()
	s := setup(t, withTokens, func(c *sidecar.Config) { c.Auth.Issuer, c.Auth.Audience, c.Feed.RenewalsPerSecond = "me", "us", -1 })
	claims := func(changes jwt.MapClaims) jwt.MapClaims {
		all := jwt.MapClaims{"sub": "ada", "iss": "me", "aud": "us", "exp": time.Now().Add(time.Hour).Unix(), auth.Claim: map[string]any{"read": true}}
		maps.Copy(all, changes)
		return all
	}
	signed := func(changes jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims(changes)).SignedString([]byte(jwtSecret))
		require.NoError(t, err)
		return text
	}
	other, err := jwt.NewWithClaims(jwt.SigningMethodHS512, claims(nil)).SignedString([]byte(jwtSecret))
	require.NoError(t, err)
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims(nil)).SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	good := signed(nil)
	bad := map[string][]string{
		"malformed": {"nonsense", "a.b.c", strings.Repeat("x", auth.MaxToken+1)}, "algorithm": {other, none}, "signature": {good[:len(good)-4] + "AAAA"},
		"expired": {signed(jwt.MapClaims{"exp": 1})}, "not_yet_valid": {signed(jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()})},
		"issuer": {signed(jwt.MapClaims{"iss": "eve"})}, "audience": {signed(jwt.MapClaims{"aud": "them"})},
		"claims": {signed(jwt.MapClaims{"exp": nil}), signed(jwt.MapClaims{auth.Claim: map[string]any{"raed": true}})},
	}
	so := s.dialWith(t, "/v1/feed", good)
	require.Equal(t, "welcome", so.next(t).Type)
	want := map[string]float64{"missing": 3, "ticket": 1, "key": 0, "unavailable": 0}
	for reason, tokens := range bad {
		for _, text := range tokens {
			for _, path := range []string{"/v1/stats", "/v1/feed", "/metrics"} {
				status, _, _ := s.ask(t, "GET", path, "Authorization", "Bearer "+text)
				require.Equal(t, 401, status)
			}
			so.send(t, `{"type":"auth","token":"`+text+`"}`)
			require.Equal(t, "forbidden", so.next(t).Code)
			want[reason] += 4
		}
	}
	for _, path := range []string{"/v1/stats", "/v1/feed", "/metrics"} {
		s.ask(t, "GET", path)
	}
	s.ask(t, "GET", "/v1/feed?ticket=x")
	_, _, metrics := s.ask(t, "GET", "/metrics", "Authorization", "Bearer "+good)
	got := map[string]float64{}
	for _, m := range regexp.MustCompile(`(?m)^agentexec_refused_tokens_total\{reason="([a-z_]+)"\} (\d+)$`).FindAllStringSubmatch(metrics, -1) {
		got[m[1]], err = strconv.ParseFloat(m[2], 64)
		require.NoError(t, err)
	}
	require.Equal(t, want, got)

	text, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	listed := regexp.MustCompile("(?m)^- \\*\\*`agentexec_refused_tokens_total`\\*\\* knows these reasons: (.*)$").FindSubmatch(text)
	require.NotNil(t, listed)
	for reason := range got {
		require.Regexp(t, "(^|; )`"+reason+"`", string(listed[1]))
	}
}

// TestNoTokenIsLogged sends bad and good tokens and tickets by every door, at debug level, and looks for them in all that
// was logged and all that metrics say.
func TestNoTokenIsLogged(t *testing.T) {
	t.Parallel()
	logged := &logtest.Buffer{}
	s := setup(t, withTokens, func(c *sidecar.Config) {
		c.Logger = slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	id := s.create(t)
	good := token(t, auth.Everything())
	claims := jwt.MapClaims{"sub": "eve", "exp": time.Now().Add(time.Hour).Unix()}
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	other, err := jwt.NewWithClaims(jwt.SigningMethodHS512, claims).SignedString([]byte(jwtSecret))
	require.NoError(t, err)
	ticket := s.ticket(t, good)
	texts := []string{
		good, good[:len(good)-5] + "XXXXX", none + "c2ln", other, strings.Repeat("ab1", auth.MaxToken/3+1), "plainword1", ticket,
		token(t, auth.Grant{Subject: "ada", Read: true, Expires: time.Now().Add(-time.Hour)}),
	}
	for _, text := range texts {
		bearer := []string{"Authorization", "Bearer " + text}
		for _, r := range [][2]string{
			{"GET", "/v1/stats"}, {"GET", "/v1/feed"}, {"GET", "/v1/feed/" + id.String()}, {"POST", "/v1/activities/" + id.String() + "/logs"},
			{"POST", "/v1/activities/" + uuid.NewString() + "/cancel"}, {"GET", "/metrics"}, {"GET", "/v1/nothing"},
		} {
			s.ask(t, r[0], r[1], bearer...)
			s.ask(t, r[0], r[1]+"?token="+text+"&access_token="+text)
		}
		s.ask(t, "GET", "/v1/feed/"+id.String()+"?ticket="+text, "Accept", "text/html")
		d := websocket.Dialer{Subprotocols: []string{"bearer." + text, "agentexec.v1"}, HandshakeTimeout: patience}
		if ws, resp, err := d.Dial("ws"+strings.TrimPrefix(s.url, "http")+"/v1/feed", nil); err == nil {
			_ = resp.Body.Close()
			so := &socket{ws}
			so.next(t)
			for _, bad := range texts {
				b, _ := json.Marshal(map[string]string{"type": "auth", "token": bad})
				so.send(t, string(b))
				so.next(t)
			}
			require.NoError(t, ws.Close())
		}
	}
	_, _, metrics := s.ask(t, "GET", "/metrics", "Authorization", "Bearer "+good)
	s.stop()
	require.Contains(t, logged.String(), "refused a request")
	require.Contains(t, logged.String(), "msg=audit")
	for _, text := range texts {
		for _, part := range strings.Split(text, ".") {
			part = part[:min(len(part), 40)]
			require.NotContains(t, logged.String(), part)
			require.NotContains(t, metrics, part)
		}
	}
}
