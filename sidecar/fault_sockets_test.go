package sidecar_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sidecar"
)

// bystander is a socket that must not notice what is done to others: it follows an activity of its own, into which
// lines are written all the while, and answers pings. The test calls calm when the others had their fault.
func (s *service) bystander(t *testing.T) (calm func()) {
	t.Helper()
	id := s.create(t)
	so := s.open(t)
	so.sub(t, "mine", id, 0)
	stop := make(chan struct{})
	var work sync.WaitGroup
	written := 1
	work.Go(func() {
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-stop:
				_, err := s.c.Complete(t.Context(), id, "done")
				require.NoError(t, err)
				return
			case <-pace.C:
				s.append(t, id, fmt.Sprint("line ", written))
				written++
			}
		}
	})
	work.Go(func() {
		for last := 0; ; {
			m, err := so.read()
			if err != nil {
				t.Errorf("the bystander was disturbed after line %d: %v", last, err)
				return
			}
			if m.Type == "end" {
				require.Equal(t, last, m.LastSeq)
				return
			}
			for _, l := range m.Logs {
				last++
				require.Equal(t, last, l.Seq)
			}
		}
	})
	var once sync.Once
	calm = func() {
		once.Do(func() {
			close(stop)
			work.Wait()
			require.Positive(t, written)
		})
	}
	t.Cleanup(calm)
	return calm
}

// TestVanished: sockets whose network goes silent are noticed, whether there is something to send to them or not, and
// nothing of them is kept.
func TestVanished(t *testing.T) {
	t.Parallel()
	const pong = 4 * time.Second // a busy machine has a tenth of it to answer a ping
	s := setup(t, func(c *sidecar.Config) { c.Feed.PongTimeout, c.Feed.WriteTimeout = pong, pong })
	calm := s.bystander(t)
	p, through := before(t, s.url)
	vanishing := &service{url: through}
	busy := s.create(t)
	for n := range 10 {
		so := vanishing.open(t)
		id := busy
		if n%2 == 0 {
			id = s.create(t)
		}
		so.sub(t, "a", id, 0)
		so.skim(t, 0, 1)
		so.send(t, `{"type":"subscribe","sub":"l","list":{}}`)
		if n%2 == 0 { // else the last thing it did was to read
			so.send(t, `{"type":"ping"}`)
		}
	}
	s.await(t, "agentexec_sockets", 11)
	s.await(t, "agentexec_watched_activities", 7)
	p.freeze()
	s.bulk(t, busy, 8<<20)
	s.await(t, "agentexec_sockets", 1)
	s.await(t, "agentexec_watched_activities", 1)
	s.await(t, "agentexec_watched_lists", 0)
	calm()
}

// TestTenThousandSubscriptions: one socket may have a thousand. Every other one is refused, and other sockets keep
// theirs.
func TestTenThousandSubscriptions(t *testing.T) {
	t.Parallel()
	const asked, allowed = 10_000, 1000
	s := setup(t)
	calm := s.bystander(t)
	ids := s.createMany(t, 1200)
	greedy := s.open(t)
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := range asked {
			greedy.send(t, fmt.Sprintf(`{"type":"subscribe","sub":"s%d","agent_id":%q,"after_seq":1}`, n, ids[n%len(ids)]))
		}
	})
	snapshots, refused := 0, 0
	for snapshots+refused < asked {
		switch m := greedy.next(t); m.Type {
		case "snapshot":
			snapshots++
		case "error":
			require.Equal(t, "limit", m.Code, m.raw)
			refused++
		default:
			t.Fatalf("unexpected frame: %s", m.raw)
		}
	}
	writer.Wait()
	require.Equal(t, allowed, snapshots)
	s.await(t, "agentexec_watched_activities", allowed+1)

	// Its subscriptions go on, and another socket may have as many.
	s.append(t, ids[allowed-1], "two")
	require.Equal(t, 2, greedy.expect(t, "logs", fmt.Sprint("s", allowed-1)).Logs[0].Seq)
	other := s.open(t)
	other.sub(t, "b", ids[allowed-1], 0)
	other.skim(t, 0, 2)
	require.NoError(t, greedy.ws.Close())
	require.NoError(t, other.ws.Close())
	s.await(t, "agentexec_sockets", 1)
	s.await(t, "agentexec_watched_activities", 1)
	calm()
}

// createMany registers activities in one statement.
func (s *service) createMany(t testing.TB, n int) (ids []uuid.UUID) {
	t.Helper()
	require.NoError(t, s.db.Conn(t).QueryRow(t.Context(),
		"select array_agg(agentexec.create_activity('research')) from generate_series(1, $1)", n).Scan(&ids))
	return ids
}

// TestGarbage: bytes that are no frames, and no request at all, from sockets that come and go.
func TestGarbage(t *testing.T) {
	t.Parallel()
	s := setup(t)
	calm := s.bystander(t)
	var clients sync.WaitGroup
	for n := range 6 {
		noise := rand.New(rand.NewPCG(uint64(n), 1))
		clients.Go(func() {
			for range 20 {
				junk := make([]byte, 1+noise.IntN(200_000))
				for i := range junk {
					junk[i] = byte(noise.Uint32())
				}
				if noise.IntN(3) == 0 {
					scream(t, s.url, junk)
					continue
				}
				so := s.open(t)
				if noise.IntN(2) == 0 {
					junk[0], junk[1] = 0x81, 0x80|byte(noise.IntN(128)) // begins as a frame does
				}
				_, _ = so.ws.NetConn().Write(junk) // the server may have had enough before the end
				if noise.IntN(2) == 0 {
					for err := error(nil); err == nil; {
						_, err = so.read()
					}
				}
				_ = so.ws.Close()
			}
		})
	}
	clients.Wait()
	s.await(t, "agentexec_sockets", 1)
	calm()
}

// scream sends bytes to a port that expects a request, and resets the connection.
func scream(t *testing.T, url string, junk []byte) {
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_, _ = c.Write(junk)
	_ = c.Close()
}

// TestEndlessFragments: a message that never ends is no sign of life, however many pieces of nothing it comes in.
func TestEndlessFragments(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Feed.PongTimeout = 4 * time.Second })
	calm := s.bystander(t)
	so := s.open(t)
	so.sub(t, "a", s.create(t), 0)
	so.skim(t, 0, 1)
	raw := so.ws.NetConn()
	_, err := raw.Write([]byte{0x01, 0x80, 0, 0, 0, 0}) // text, not final, masked, empty
	require.NoError(t, err)
	var reader sync.WaitGroup
	reader.Go(func() { // takes what comes, and answers no ping
		so.ws.SetPingHandler(func(string) error { return nil })
		for err := error(nil); err == nil; {
			_, _, err = so.ws.NextReader()
		}
	})
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	began := time.Now()
	for err = nil; err == nil; <-pace.C {
		_, err = raw.Write([]byte{0x00, 0x80, 0, 0, 0, 0})
		require.Less(t, time.Since(began), patience)
	}
	reader.Wait()
	s.await(t, "agentexec_sockets", 1)
	calm()
	require.NotErrorIs(t, err, websocket.ErrCloseSent)
}
