package sidecar_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// patience bounds every wait for something that must happen; it is not waited out when it does.
const patience = time.Minute

// service is a running sidecar over a database of its own.
type service struct {
	url  string
	db   *pgtest.Database
	c    *client.Client
	stop func() // ends it in order and checks that Run returned nil
}

func setup(t testing.TB, tweaks ...func(*sidecar.Config)) *service {
	t.Helper()
	return start(t, pgtest.New(t), tweaks...)
}

// start runs a sidecar over db until the test ends.
func start(t testing.TB, db *pgtest.Database, tweaks ...func(*sidecar.Config)) *service {
	t.Helper()
	ready := make(chan string, 1)
	cfg := sidecar.Config{
		DatabaseURL: db.URL,
		Addr:        "127.0.0.1:0",
		Logger:      slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnReady:     func(url string) { ready <- url },
	}
	for _, tweak := range tweaks {
		tweak(&cfg)
	}
	s, err := sidecar.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(patience):
			t.Error("the sidecar did not stop")
		}
	})
	t.Cleanup(stop)
	sv := &service{db: db, stop: stop, c: client.New(db.Pool(t))}
	select {
	case sv.url = <-ready:
	case err := <-done:
		t.Fatalf("the sidecar ended at start: %v", err)
	case <-time.After(patience):
		t.Fatal("the sidecar did not become ready")
	}
	t.Cleanup(func() {
		if t.Failed() {
			sv.logState(t)
		}
	})
	return sv
}

// logState logs what the tail and the feed have done, and how far the log of the database is, where both still answer.
func (s *service) logState(t testing.TB) {
	if resp, err := http.Get(s.url + "/metrics"); err == nil {
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if name := lines.Text(); strings.HasPrefix(name, "agentexec_") && !strings.Contains(name, "_bucket") && !strings.HasSuffix(name, " 0") && !strings.HasPrefix(name, "agentexec_limit") {
				t.Log(name)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.db.URL)
	if err != nil {
		return
	}
	defer conn.Close(ctx)
	var state string
	err = conn.QueryRow(ctx, `select jsonb_build_object('snapshot', pg_current_snapshot()::text,
		'lines', (select jsonb_agg(to_jsonb(l) - '{message,data}'::text[]) from (select * from agentexec.activity_log order by id desc limit 3) l),
		'locks', (select jsonb_agg(l) from pg_locks l where locktype = 'advisory'),
		'sessions', (select jsonb_agg(jsonb_build_object('pid', pid, 'type', backend_type, 'state', state, 'wait', wait_event, 'query', left(query, 80)))
			from pg_stat_activity where backend_type ~ 'client|logical'),
		'subscriptions', (select jsonb_agg(s) from pg_stat_subscription s))::text`).Scan(&state)
	t.Log(state, err)
}

// create registers an activity and appends lines to it.
func (s *service) create(t *testing.T, lines ...string) uuid.UUID {
	t.Helper()
	id, err := s.c.Create(t.Context(), "research", "queued")
	require.NoError(t, err)
	s.append(t, id, lines...)
	return id
}

func (s *service) append(t *testing.T, id uuid.UUID, lines ...string) {
	t.Helper()
	for _, line := range lines {
		_, err := s.c.Update(t.Context(), id, line)
		require.NoError(t, err)
	}
}

// message is any frame of the server.
type message struct {
	Type     string            `json:"type"`
	Sub      *string           `json:"sub"`
	Protocol string            `json:"protocol"`
	Activity map[string]any    `json:"activity"`
	Logs     []client.Log      `json:"logs"`
	Status   string            `json:"status"`
	LastSeq  int               `json:"last_seq"`
	AfterSeq int               `json:"after_seq"`
	NextSeq  int               `json:"next_seq"`
	Reason   string            `json:"reason"`
	Code     string            `json:"code"`
	Message  string            `json:"message"`
	Items    []client.ListItem `json:"items"`
	Removed  []uuid.UUID       `json:"removed"`
	Counts   map[string]int    `json:"counts"`
	raw      string
}

// socket is a WebSocket client.
type socket struct{ ws *websocket.Conn }

// dial opens a feed socket; path is "/v1/feed" or below.
func (s *service) dial(t testing.TB, path string) *socket {
	t.Helper()
	ws, resp, err := dial(s.url, path, nil)
	require.NoError(t, err)
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	return &socket{ws}
}

func dial(url, path string, header http.Header) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{Subprotocols: []string{"agentexec.v1"}, HandshakeTimeout: patience}
	return d.Dial("ws"+strings.TrimPrefix(url, "http")+path, header)
}

// open dials /v1/feed and takes the welcome.
func (s *service) open(t testing.TB) *socket {
	t.Helper()
	so := s.dial(t, "/v1/feed")
	require.Equal(t, "agentexec.v1", so.ws.Subprotocol())
	m := so.next(t)
	require.Equal(t, "welcome", m.Type)
	require.Equal(t, "agentexec.v1", m.Protocol)
	return so
}

func (s *socket) send(t testing.TB, text string) {
	t.Helper()
	require.NoError(t, s.ws.WriteMessage(websocket.TextMessage, []byte(text)))
}

func (s *socket) subscribe(t testing.TB, id uuid.UUID, afterSeq int) {
	t.Helper()
	b, _ := json.Marshal(map[string]any{"type": "subscribe", "agent_id": id, "after_seq": afterSeq})
	s.send(t, string(b))
}

func (s *socket) next(t testing.TB) message {
	t.Helper()
	m, err := s.read()
	require.NoError(t, err)
	return m
}

func (s *socket) read() (message, error) {
	_ = s.ws.SetReadDeadline(time.Now().Add(patience))
	_, data, err := s.ws.ReadMessage()
	if err != nil {
		return message{}, err
	}
	m := message{raw: string(data)}
	return m, json.Unmarshal(data, &m)
}

// lines reads frames until n lines have come, and checks their order.
func (s *socket) lines(t testing.TB, after, n int) []client.Log {
	t.Helper()
	var logs []client.Log
	for len(logs) < n {
		m := s.next(t)
		require.Equal(t, "logs", m.Type, m.raw)
		for _, l := range m.Logs {
			after++
			require.Equal(t, after, l.Seq, m.raw)
			logs = append(logs, l)
		}
	}
	require.Len(t, logs, n)
	return logs
}

// closed reads until the socket is closed and returns the code.
func (s *socket) closed(t testing.TB) int {
	t.Helper()
	for {
		_, err := s.read()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		require.ErrorAs(t, err, &closed)
		return closed.Code
	}
}
