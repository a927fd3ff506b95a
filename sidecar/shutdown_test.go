package sidecar_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// TestShutdown: every socket takes what waits for it and is told 1001, event streams end, and Run returns. That no
// goroutine is left is checked for the package.
func TestShutdown(t *testing.T) {
	t.Parallel()
	const drain = time.Minute
	s := setup(t, func(c *sidecar.Config) { c.Feed.DrainTimeout = drain })
	id := s.create(t)
	sockets := make([]*socket, 30)
	for n := range sockets {
		sockets[n] = s.open(t)
		sockets[n].sub(t, "a", id, 0)
		sockets[n].send(t, `{"type":"subscribe","sub":"l","list":{}}`)
	}
	stream := s.events(t, "/v1/feed/"+id.String())
	one := s.dial(t, "/v1/feed/"+id.String())
	var entries []client.Entry
	for n := range 100 {
		entries = append(entries, client.Entry{AgentID: id, Message: fmt.Sprintf("%1000d", n)})
	}
	_, err := s.c.AppendLogs(t.Context(), entries)
	require.NoError(t, err)
	// One client has seen the last line, so the others' are waiting for them.
	for m := one.next(t); m.Type != "logs" || m.Logs[len(m.Logs)-1].Seq < 101; m = one.next(t) {
	}

	stopped := make(chan time.Duration)
	go func() {
		began := time.Now()
		s.stop()
		stopped <- time.Since(began)
	}()
	var clients sync.WaitGroup
	for _, so := range slices.Concat(sockets, []*socket{one}) {
		clients.Go(func() {
			last := 0
			var closed *websocket.CloseError
			for {
				m, err := so.read()
				if errors.As(err, &closed) {
					break
				}
				require.NoError(t, err)
				for _, l := range m.Logs {
					last++
					require.Equal(t, last, l.Seq)
				}
			}
			require.Equal(t, 1001, closed.Code)
			require.NotEmpty(t, closed.Text)
			if so != one {
				require.Equal(t, 101, last, "the goodbye came before what waited")
			}
		})
	}
	require.Contains(t, stream.words(t), "logs#101")
	clients.Wait()
	require.Less(t, <-stopped, drain/3, "the drain timeout was waited out")
	_, err = net.Dial("tcp", s.url[len("http://"):])
	require.Error(t, err)
}

// TestShutdownWithStuckSockets: a client that takes nothing delays the shutdown by at most the drain timeout.
func TestShutdownWithStuckSockets(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Feed.DrainTimeout = time.Second })
	id := s.create(t)
	s.bulk(t, id, 20<<20)
	for n := range 5 {
		stuck := s.open(t)
		stuck.sub(t, "a", id, 0)
		for range n { // one of them has not even read this much
			stuck.expect(t, "logs", "a")
		}
		stream := s.events(t, "/v1/feed/"+id.String())
		_, err := stream.next()
		require.NoError(t, err)
	}
	idle := s.open(t)
	began := time.Now()
	var wait sync.WaitGroup
	wait.Go(s.stop)
	require.Equal(t, 1001, idle.closed(t))
	wait.Wait()
	require.Less(t, time.Since(began), 15*time.Second, "the write timeout of 20 s was waited out")
}

// TestShutdownUnderLoad: sockets come and go, lines are written, and the service stops in the middle of it.
func TestShutdownUnderLoad(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.create(t)
	var load sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		load.Go(func() {
			for {
				ws, resp, err := dial(s.url, "/v1/feed/"+id.String(), nil)
				if err != nil {
					select {
					case <-stop:
						return // the service is gone
					default:
						t.Errorf("dialling: %v", err)
						return
					}
				}
				_ = resp.Body.Close()
				so := &socket{ws}
				for range 5 {
					if _, err := so.read(); err != nil {
						break
					}
				}
				_ = ws.Close()
			}
		})
	}
	load.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				s.append(t, id, fmt.Sprint(n))
			}
		}
	})
	watcher := s.open(t)
	watcher.sub(t, "a", id, 0)
	watcher.skim(t, 0, 50)
	close(stop)
	s.stop()
	load.Wait()
	require.Equal(t, 1001, watcher.closed(t))
}

// bulk appends lines of 32 KiB, about bytes in all.
func (s *service) bulk(t testing.TB, id fmt.Stringer, bytes int) (lines int) {
	t.Helper()
	const size = 32 << 10
	s.db.Exec(t, `select agentexec.append_logs(jsonb_agg(jsonb_build_object('agent_id', $1::uuid, 'message', repeat(chr(97 + n % 26), $2))))
		from generate_series(1, $3) n`, id.String(), size, bytes/size)
	return bytes / size
}
