package source

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

func TestSidecarAddress(t *testing.T) {
	t.Parallel()
	for address, says := range map[string]string{
		"":                         "must be the address",
		"example.com":              "must be the address",
		"ftp://example.com":        "must be the address",
		"https://":                 "must be the address",
		"https://me:geheim@x.com":  "no password",
		"https://example.com?a=b":  "nothing behind",
		"https://example.com/#a":   "nothing behind",
		"https://example.com:x/y":  "must be the address",
		"postgres://127.0.0.1/abc": "must be the address",
	} {
		_, err := NewSidecar(SidecarConfig{URL: address})
		require.ErrorContains(t, err, says, address)
		require.NotContains(t, err.Error(), "geheim")
	}
}

const secret = "a secret of thirty-two characters"

func mint(t *testing.T, grant auth.Grant) string {
	t.Helper()
	grant.Expires = time.Now().Add(time.Hour)
	token, err := auth.Mint(auth.MintConfig{Secret: secret}, grant)
	require.NoError(t, err)
	return token
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve(t, sidecar.Config{DatabaseURL: w.db.URL, Addr: "127.0.0.1:0", Auth: sidecar.Auth{Secret: secret}})
	id := w.create(t, "research", "Go")
	for name, tc := range map[string]struct{ token, says string }{
		"None":    {"", "give a token"},
		"Wrong":   {"a.b.c", "give a token"},
		"NoRight": {mint(t, auth.Grant{Write: true}), "the token does not allow it"},
	} {
		s := w.sidecar(t, tc.token)
		_, err := s.ListJSON(t.Context(), client.ListParams{})
		require.ErrorContains(t, err, tc.says, name)
		for _, err := range s.Watch(t.Context(), id, 0) {
			require.ErrorContains(t, err, tc.says, name)
		}
	}
	s := w.sidecar(t, mint(t, auth.Grant{Read: true}))
	_, err := s.ListJSON(t.Context(), client.ListParams{})
	require.NoError(t, err)
	_, err = Detail(t.Context(), s, id, client.DetailParams{IncludeMetadata: true})
	require.ErrorContains(t, err, "include_metadata")
	_, err = s.Cancel(t.Context(), id, Cancel{})
	require.ErrorContains(t, err, "the token does not allow it")
	for line, err := range s.Watch(t.Context(), id, 1) {
		require.NoError(t, err)
		require.Equal(t, "Go", line.Message)
		break
	}
}

// TestAnswersOfOthers: another server than a sidecar, and a proxy without one behind it.
func TestAnswersOfOthers(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<html>"))
	}))
	t.Cleanup(web.Close)
	s, err := NewSidecar(SidecarConfig{URL: web.URL})
	require.NoError(t, err)
	for code, says := range map[int]string{200: "is that the address of an agentexec sidecar?", 404: "is that the address", 502: "answers 502 Bad Gateway"} {
		status = code
		_, err := s.ListJSON(t.Context(), client.ListParams{})
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "<html>")
	}
	web.Close()
	_, err = s.ListJSON(t.Context(), client.ListParams{})
	require.ErrorContains(t, err, "cannot connect to "+web.URL)
}

// TestWatchResumesAtSidecar: the connection breaks again and again; each line comes once, and each outage is reported.
func TestWatchResumesAtSidecar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var broken atomic.Int32
	front := newFront(t, strings.TrimPrefix(w.url, "http://"))
	r, outages := newRecorder()
	s, err := NewSidecar(SidecarConfig{URL: "http://" + front.addr, Outages: outages})
	require.NoError(t, err)
	id := w.create(t, "research")
	seq := 0
	for line, err := range s.Watch(t.Context(), id, 0) {
		require.NoError(t, err)
		seq++
		require.Equal(t, seq, line.Seq)
		switch {
		case seq == 6:
			_, err := w.c.Complete(t.Context(), id, "")
			require.NoError(t, err)
		case seq < 6:
			front.breakAll()
			broken.Add(1)
			w.log(t, id, "more")
		}
	}
	require.Equal(t, 7, seq)
	for range broken.Load() {
		require.Error(t, r.next(t))
		require.NoError(t, r.next(t))
	}
	require.Empty(t, r.events)
}

// front is a TCP proxy whose connections a test can break.
type front struct {
	addr string
	open chan net.Conn
}

func newFront(t *testing.T, to string) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	f := &front{addr: l.Addr().String(), open: make(chan net.Conn, 1000)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			behind, err := net.Dial("tcp", to)
			if err != nil {
				_ = conn.Close()
				continue
			}
			f.open <- conn
			go pipe(conn, behind)
			go pipe(behind, conn)
		}
	}()
	return f
}

func pipe(to, from net.Conn) {
	defer func() { _ = to.Close() }()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (f *front) breakAll() {
	for {
		select {
		case conn := <-f.open:
			_ = conn.Close()
		default:
			return
		}
	}
}

// TestWatchOfDeletedActivity: deleted and made again while the connection is broken.
func TestWatchOfDeletedActivity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front := newFront(t, strings.TrimPrefix(w.url, "http://"))
	s, err := NewSidecar(SidecarConfig{URL: "http://" + front.addr})
	require.NoError(t, err)
	id := w.create(t, "research")
	var last error
	for line, err := range s.Watch(t.Context(), id, 0) {
		if err != nil {
			last = err
			break
		}
		require.Equal(t, 1, line.Seq)
		front.breakAll()
		w.db.Exec(t, "delete from agentexec.activity")
		_, err = w.c.Create(t.Context(), "research", "", client.WithAgentID(id))
		require.NoError(t, err)
		w.log(t, id, "more")
	}
	require.ErrorIs(t, last, client.ErrReset)
}

// TestClosedFeeds: what a close code of the feed means for Watch.
func TestClosedFeeds(t *testing.T) {
	t.Parallel()
	s, err := NewSidecar(SidecarConfig{URL: "http://127.0.0.1:1"})
	require.NoError(t, err)
	for code, hopeless := range map[int]bool{1000: false, 1001: false, 1006: false, 1008: true, 4401: false, 4408: false, 4429: false} {
		f := &follower{s: s}
		require.Equal(t, hopeless, f.hopeless(f.broken(&websocket.CloseError{Code: code})), code)
	}
}
