package sidecar_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// expect reads a frame of a type, of the subscription sub; "" where it has none.
func (s *socket) expect(t testing.TB, kind, sub string) message {
	t.Helper()
	m := s.next(t)
	require.Equal(t, kind, m.Type, m.raw)
	require.Equal(t, sub, m.sub(), m.raw)
	return m
}

func (m message) sub() string {
	if m.Sub == nil {
		return ""
	}
	return *m.Sub
}

// alive checks that the socket answers, and that nothing is waiting in it.
func (s *socket) alive(t testing.TB) {
	t.Helper()
	s.send(t, `{"type":"ping"}`)
	require.JSONEq(t, `{"type":"pong"}`, s.next(t).raw)
}

// sub subscribes to an activity under a name and takes the snapshot.
func (s *socket) sub(t testing.TB, name string, id uuid.UUID, afterSeq int) message {
	t.Helper()
	s.send(t, fmt.Sprintf(`{"type":"subscribe","sub":%q,"agent_id":%q,"after_seq":%d}`, name, id, afterSeq))
	return s.expect(t, "snapshot", name)
}

// frames reads frames of one activity until one ends the word, such as "logs:1-3 gap:pruned@3-6 end:ERROR@7"; frames of
// lines that follow each other are one, since how lines are spread over frames is free.
func (s *socket) frames(t testing.TB, until string) string {
	t.Helper()
	var words []string
	first, last := 0, 0
	for {
		m := s.next(t)
		word := m.Type
		switch m.Type {
		case "logs":
			for _, l := range m.Logs {
				if last > 0 {
					require.Equal(t, last+1, l.Seq, m.raw)
				} else {
					first = l.Seq
				}
				last = l.Seq
			}
			if !strings.HasPrefix(until, "logs:") || until != fmt.Sprintf("logs:%d", last) {
				continue
			}
		case "gap":
			word = fmt.Sprintf("gap:%s@%d-%d", m.Reason, m.AfterSeq, m.NextSeq)
		case "end":
			word = fmt.Sprintf("end:%s@%d", m.Status, m.LastSeq)
		}
		if last > 0 {
			words = append(words, fmt.Sprintf("logs:%d-%d", first, last))
			first, last = 0, 0
		}
		if m.Type == "logs" {
			return strings.Join(words, " ")
		}
		words = append(words, word)
		if word == until {
			return strings.Join(words, " ")
		}
	}
}

// write appends a line with a status.
func (s *service) write(t testing.TB, id uuid.UUID, status client.Status, message string) {
	t.Helper()
	_, err := s.c.Update(t.Context(), id, message, client.WithStatus(status))
	require.NoError(t, err)
}

// detail is an activity as SQL gives it, its logs apart.
func (s *service) detail(t testing.TB, id uuid.UUID) (activity map[string]any, logs []any) {
	t.Helper()
	var text string
	require.NoError(t, s.db.Conn(t).QueryRow(t.Context(), "select agentexec.activity_detail($1)::text", id).Scan(&text))
	require.NoError(t, json.Unmarshal([]byte(text), &activity))
	logs, _ = activity["logs"].([]any)
	delete(activity, "logs")
	return activity, logs
}

// rawLogs is the logs of a frame as they came.
func (m message) rawLogs(t testing.TB) []any {
	t.Helper()
	var frame struct {
		Logs []any `json:"logs"`
	}
	require.NoError(t, json.Unmarshal([]byte(m.raw), &frame))
	return frame.Logs
}

// refusal is how a request was answered that did not become a feed.
type refusal struct {
	status int
	header http.Header
	body   string
}

// shake dials with headers of its own, and returns the socket or how it was refused.
func (s *service) shake(t testing.TB, path string, protocols []string, headers ...string) (*socket, refusal) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: protocols, HandshakeTimeout: patience}
	header := http.Header{}
	for n := 0; n < len(headers); n += 2 {
		header.Set(headers[n], headers[n+1])
	}
	ws, resp, err := d.Dial("ws"+strings.TrimPrefix(s.url, "http")+path, header)
	if err != nil {
		require.ErrorIs(t, err, websocket.ErrBadHandshake)
		return nil, refused(t, resp)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	return &socket{ws}, refusal{}
}

func refused(t testing.TB, resp *http.Response) refusal {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return refusal{status: resp.StatusCode, header: resp.Header, body: string(body)}
}

// problem checks that it is a problem document with a status and code, and returns its detail.
func (r refusal) problem(t testing.TB, status int, code string) string {
	t.Helper()
	require.Equal(t, status, r.status, r.body)
	require.Equal(t, "application/problem+json", r.header.Get("Content-Type"))
	var p struct {
		Type, Title, Detail, Code string
		Status                    int
	}
	require.NoError(t, json.Unmarshal([]byte(r.body), &p), r.body)
	require.Equal(t, status, p.Status)
	require.Equal(t, code, p.Code)
	require.Equal(t, http.StatusText(status), p.Title)
	require.NotEmpty(t, p.Detail)
	return p.Detail
}
