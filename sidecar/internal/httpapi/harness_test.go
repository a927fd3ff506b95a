package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/budget"
	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
)

// usualBody is the largest body unless a limit says otherwise.
const usualBody = 2 << 20

// apiBundle is the API on a real server, over a database of its own.
type apiBundle struct {
	url    string
	http   *http.Client
	db     *pgtest.Database
	client *client.Client
	logged *logtest.Buffer
	server *httptest.Server
	api    *api
	token  string // sent with every request that has no other
}

func setupAPI(t *testing.T) *apiBundle {
	t.Helper()
	return serveAPI(t, pgtest.New(t), nil)
}

// serveAPI serves the API over db. tweak may change it before it starts.
func serveAPI(t testing.TB, db *pgtest.Database, tweak func(*api)) *apiBundle {
	t.Helper()
	b := &apiBundle{db: db, client: client.New(db.Pool(t)), logged: &logtest.Buffer{}}
	// Below are the audit lines, which have tests of their own.
	log := slog.New(slog.NewTextHandler(b.logged, &slog.HandlerOptions{Level: slog.LevelWarn}))
	b.api = &api{
		Config: Config{
			Access: access.With(nil, nil, log), Log: log, Note: func(string) {},
			Memory: budget.New(1 << 30), ReadSlots: NewSlots(100), WriteSlots: NewSlots(100),
			PageSize: MaxPageSize, BodyBytes: usualBody, BodyTimeout: 30 * time.Second,
		},
		reads: b.client, writes: b.client, answerTimeout: time.Minute,
	}
	if tweak != nil {
		tweak(b.api)
	}
	b.server = httptest.NewServer(b.api.handler())
	t.Cleanup(b.server.Close)
	b.url, b.http = b.server.URL, b.server.Client()
	return b
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	text   string
}

// do sends a request. A body is sent as application/json unless the headers, in pairs, say otherwise.
func (b *apiBundle) do(t testing.TB, method, path, body string, headers ...string) reply {
	t.Helper()
	r, err := b.try(t.Context(), method, path, body, headers...)
	require.NoError(t, err)
	requireDocumented(t, method, path, r)
	return r
}

// try is do for goroutines that may not fail a test.
func (b *apiBundle) try(ctx context.Context, method, path, body string, headers ...string) (reply, error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, b.url+path, reader)
	if err != nil {
		return reply{}, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	response, err := b.http.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(text)}, err
}

// get and post send a request that must be answered with the status.
func (b *apiBundle) get(t testing.TB, path string, status int) reply {
	t.Helper()
	r := b.do(t, http.MethodGet, path, "")
	require.Equal(t, status, r.status, r.text)
	return r
}

func (b *apiBundle) post(t testing.TB, path, body string, status int) reply {
	t.Helper()
	r := b.do(t, http.MethodPost, path, body)
	require.Equal(t, status, r.status, r.text)
	return r
}

// object reads the answer as a JSON object.
func (r reply) object(t testing.TB) map[string]any {
	t.Helper()
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	return decoded[map[string]any](t, r.text)
}

func decoded[T any](t testing.TB, text string) (v T) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&v), text)
	return v
}

// problem checks that the answer is a whole problem document of that status and code, and returns its detail.
func (r reply) problem(t testing.TB, status int, code string) string {
	t.Helper()
	require.Equal(t, status, r.status, r.text)
	require.Equal(t, "application/problem+json", r.header.Get("Content-Type"))
	p := decoded[map[string]any](t, r.text)
	keys := slices.Sorted(maps.Keys(p))
	if _, ok := p["errors"]; ok {
		require.Equal(t, []string{"code", "detail", "errors", "status", "title", "type"}, keys)
	} else {
		require.Equal(t, []string{"code", "detail", "status", "title", "type"}, keys)
	}
	require.Equal(t, "about:blank", p["type"])
	require.Equal(t, http.StatusText(status), p["title"])
	require.Equal(t, fmt.Sprint(status), fmt.Sprint(p["status"]))
	require.Equal(t, code, p["code"], r.text)
	detail, _ := p["detail"].(string)
	require.NotEmpty(t, detail)
	return detail
}

// create registers an activity with pkg/client.
func (b *apiBundle) create(t testing.TB, opts ...client.CreateOption) uuid.UUID {
	t.Helper()
	id, err := b.client.Create(t.Context(), "research", "queued", opts...)
	require.NoError(t, err)
	return id
}

// path is the address of an activity.
func path(id uuid.UUID) string { return "/v1/activities/" + id.String() }

// query asks the database for one text.
func (b *apiBundle) query(t testing.TB, sql string, args ...any) string {
	t.Helper()
	var text string
	require.NoError(t, b.db.Conn(t).QueryRow(t.Context(), sql, args...).Scan(&text))
	return text
}

// contents is all that is stored, to see that nothing was written.
func (b *apiBundle) contents(t testing.TB) string {
	t.Helper()
	return b.query(t, `select coalesce((select json_agg(a order by a.id)::text from agentexec.activity a), '') ||
		coalesce((select json_agg(l order by l.id)::text from agentexec.activity_log l), '')`)
}

func compact(t testing.TB, text string) string {
	t.Helper()
	var buf bytes.Buffer
	require.NoError(t, json.Compact(&buf, []byte(text)))
	return buf.String()
}
