package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

func TestAPIAnswersAPanic(t *testing.T) {
	t.Parallel()
	b := serveAPI(t, pgtest.New(t), func(a *api) { a.reads, a.writes = nil, nil })
	b.get(t, "/v1/stats", 500).problem(t, 500, "internal")
	require.Contains(t, b.logged.String(), "a handler of the API panicked")
	require.Contains(t, b.logged.String(), "path=/v1/stats")
	require.Contains(t, b.logged.String(), "read.go", "the stack")
}

func TestAPIAbortsPartialAnswer(t *testing.T) {
	t.Parallel()
	a := &api{Config: Config{Log: slog.New(slog.DiscardHandler)}}
	server := httptest.NewServer(a.recovered(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"half":`)
		panic("lost the rest")
	})))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err == nil {
		_, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
	}
	require.Error(t, err, "half an answer must not look like a whole one")
}

func TestAPIOrigins(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	id := b.create(t)
	before := b.contents(t)
	for _, headers := range [][]string{
		{"Origin", "https://example.com"},
		{"Origin", "null"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site", "Origin", "https://example.com"},
	} {
		for _, target := range []string{"/v1/activities/cancel-pending", path(id) + "/complete"} {
			b.do(t, "POST", target, "", headers...).problem(t, 403, "forbidden")
		}
		require.Equal(t, 200, b.do(t, "GET", path(id), "", headers...).status, "what is read, the browser keeps from the page")
	}
	require.Equal(t, before, b.contents(t))
	require.Equal(t, 200, b.do(t, "POST", path(id)+"/complete", "", "Origin", b.url).status)
	require.Equal(t, 200, b.do(t, "POST", path(id)+"/complete", "", "Sec-Fetch-Site", "same-origin").status)
}

// TestAPIAccept: the answer is JSON, whatever the header Accept says.
func TestAPIAccept(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	for _, accept := range []string{"", "*/*", "text/html", "application/xml;q=0.9", "application/json", "json", ",;", ";,*\t=0=", "/;,q"} {
		require.Equal(t, "application/json", b.do(t, "GET", "/v1/stats", "", "Accept", accept).header.Get("Content-Type"), accept)
		b.do(t, "GET", "/v1/stats?x=1", "", "Accept", accept).problem(t, 422, "TA422")
		b.do(t, "GET", path(uuid.New()), "", "Accept", accept).problem(t, 404, "TA404")
	}
	require.Empty(t, b.logged.String())
}

func TestAPICleansPaths(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	id := b.create(t)
	require.Equal(t, 201, b.do(t, "POST", "//v1/activities/"+id.String()+"/./logs", `{"message":"x"}`).status)
	require.Equal(t, 404, b.do(t, "GET", "/v1//nothing", "").status)
}

// TestAPIBrokenBodies speaks HTTP by hand: a body that ends early, one that comes too slowly.
func TestAPIBrokenBodies(t *testing.T) {
	t.Parallel()
	b := serveAPI(t, pgtest.New(t), func(a *api) { a.BodyTimeout = 100 * time.Millisecond })
	id := b.create(t)
	before := b.contents(t)
	send := func(end func(*net.TCPConn)) reply {
		conn, err := net.DialTCP("tcp", nil, as[*net.TCPAddr](t, b.server.Listener.Addr()))
		require.NoError(t, err)
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "POST %s/logs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"mess", path(id))
		require.NoError(t, err)
		end(conn)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.True(t, response.Close)
		return reply{response.StatusCode, response.Header, string(text)}
	}
	send(func(c *net.TCPConn) { _ = c.CloseWrite() }).problem(t, 400, "malformed")
	send(func(*net.TCPConn) {}).problem(t, 408, "timeout")
	require.Equal(t, before, b.contents(t))
	require.Empty(t, b.logged.String())
}

// TestAPIReadsRefusedLargeBody: a client that sends all before it reads gets its answer, not a broken connection.
func TestAPIReadsRefusedLargeBody(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	conn, err := net.DialTCP("tcp", nil, as[*net.TCPAddr](t, b.server.Listener.Addr()))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetWriteBuffer(64<<10)) // what the kernel holds for us is no proof
	const size = usualBody + maxDrained
	_, err = fmt.Fprintf(conn, "POST /v1/activities HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat(" ", size))
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	reply{response.StatusCode, response.Header, string(text)}.problem(t, 413, "too_large")
}

// lock holds the row of an activity until the test ends or release is called.
func (b *apiBundle) lock(t *testing.T, id uuid.UUID) (release func()) {
	t.Helper()
	tx, err := b.db.Conn(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select from agentexec.activity where agent_id = $1 for update", id)
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback(t.Context())) }
}

func TestAPIReleasesClosedClient(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	id := b.create(t)
	release := b.lock(t, id)
	defer release()
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := b.try(ctx, "POST", path(id)+"/complete", "")
		left <- err
	}()
	b.db.AwaitLockWaits(t, 1)
	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	b.server.Close() // waits for the handler
	require.Empty(t, b.logged.String())
}

// TestAPIWaitsForTheDatabase: the deadline of the body is not one of the answer.
func TestAPIWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	b := serveAPI(t, pgtest.New(t), func(a *api) { a.BodyTimeout = 50 * time.Millisecond })
	id := b.create(t)
	release := b.lock(t, id)
	answered := make(chan reply, 1)
	go func() {
		r, err := b.try(t.Context(), "POST", path(id)+"/logs", `{"message":"x"}`)
		if err != nil {
			t.Error(err)
		}
		answered <- r
	}()
	b.db.AwaitLockWaits(t, 1)
	select {
	case r := <-answered:
		t.Errorf("answered %d: %s", r.status, r.text)
	case <-time.After(4 * b.api.BodyTimeout): // past the deadline nothing may have happened
	}
	release()
	require.Equal(t, 201, (<-answered).status)
}

func TestAPIGivesUpOnASlowDatabase(t *testing.T) {
	t.Parallel()
	b := serveAPI(t, pgtest.New(t), func(a *api) { a.answerTimeout = 2 * time.Second })
	id := b.create(t)
	release := b.lock(t, id)
	r := b.post(t, path(id)+"/logs", `{"message":"x"}`, 503)
	r.problem(t, 503, "unavailable")
	require.NotEmpty(t, r.header.Get("Retry-After"))
	require.Contains(t, b.logged.String(), "level=WARN")
	require.Contains(t, b.logged.String(), "operation=append-log")
	release()
	b.post(t, path(id)+"/logs", `{"message":"x"}`, 201)
}

func TestAPIWithoutDatabase(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	b := serveAPI(t, server.New(t), nil)
	id := b.create(t)
	for _, end := range []func() error{server.Stop, server.Kill} {
		require.NoError(t, end())
		for _, request := range [][]string{
			{"GET", "/v1/activities", ""},
			{"GET", path(id), ""},
			{"GET", "/v1/stats", ""},
			{"POST", "/v1/activities", `{"task_name":"x"}`},
			{"POST", path(id) + "/logs", `{"message":"x"}`},
			{"POST", path(id) + "/complete", ""},
			{"POST", "/v1/activities/cancel-pending", `{"all":true}`},
		} {
			r := b.do(t, request[0], request[1], request[2])
			r.problem(t, 503, "unavailable")
			require.Equal(t, "2", r.header.Get("Retry-After"))
			require.NotContains(t, r.text, "127.0.0.1", "nothing of the inside is told")
		}
		require.NoError(t, server.Restart(t.Context()))
		b.post(t, path(id)+"/logs", `{"message":"back"}`, 201)
	}
	require.Equal(t, 404, b.get(t, "/v1/nothing", 404).status)
}

func TestAPIWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pool := db.Pool(t, func(config *pgxpool.Config) { config.ConnConfig.Database = "nowhere" })
	b := serveAPI(t, db, func(a *api) { a.reads, a.writes = client.New(pool), client.New(pool) })
	r := b.get(t, "/v1/activities", 503)
	r.problem(t, 503, "unavailable")
	require.NotContains(t, r.text, "nowhere")
	require.Contains(t, b.logged.String(), "nowhere")
}

func TestAPIWithoutSchema(t *testing.T) {
	t.Parallel()
	b := serveAPI(t, pgtest.Empty(t), nil)
	r := b.get(t, "/v1/activities", 500)
	r.problem(t, 500, "internal")
	require.NotContains(t, strings.ToLower(r.text), "schema")
	require.Contains(t, b.logged.String(), "level=ERROR")
	require.Contains(t, b.logged.String(), "operation=list-activities")
	require.Contains(t, b.logged.String(), "does not exist")
}
