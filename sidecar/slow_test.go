package sidecar_test

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sidecar"
)

// TestSleepingClient: a socket that does not read while megabytes are written to its activity slows no other and costs no
// memory: the database is its buffer. When it wakes up it gets every line.
//
// It is not parallel: it weighs the heap.
func TestSleepingClient(t *testing.T) { //nolint:paralleltest // it weighs the heap
	s := setup(t, func(c *sidecar.Config) { c.Feed.WriteTimeout = 5 * time.Minute })
	id := s.create(t)
	sleeper, healthy := s.open(t), s.open(t)
	sleeper.sub(t, "a", id, 0)
	healthy.sub(t, "a", id, 0)
	before := heap()
	healthy.lines(t, 0, 1)
	lines := 1
	for range 8 {
		n := s.bulk(t, id, 4<<20)
		healthy.skim(t, lines, n)
		lines += n
	}
	grown := heap() - before
	t.Logf("%d MiB written, the heap grew by %d KiB", lines>>5, grown>>10)
	require.Less(t, grown, 16<<20, "what was not taken is kept somewhere")
	sleeper.skim(t, 0, lines)
	sleeper.alive(t)
}

var seqs = regexp.MustCompile(`"seq": (\d+), "data"`)

// skim is lines for megabytes of them: it looks for nothing but their seqs, and returns the last.
func (s *socket) skim(t testing.TB, after, n int) (last int) {
	t.Helper()
	for end := after + n; after < end; {
		_ = s.ws.SetReadDeadline(time.Now().Add(patience))
		_, data, err := s.ws.ReadMessage()
		require.NoError(t, err)
		for _, m := range seqs.FindAllSubmatch(data, -1) {
			after++
			require.Equal(t, strconv.Itoa(after), string(m[1]))
		}
	}
	return after
}

func heap() int {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestTooSlow: a client that takes nothing for the write timeout is dropped, and no other.
func TestTooSlow(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Feed.WriteTimeout = time.Second })
	id := s.create(t)
	dead, slow, healthy := s.open(t), s.open(t), s.open(t)
	for _, so := range []*socket{dead, slow, healthy} {
		so.sub(t, "a", id, 0)
	}
	lines := 1 + s.bulk(t, id, 12<<20)
	s.await(t, "agentexec_sockets", 3)
	var readers sync.WaitGroup
	readers.Go(func() { healthy.skim(t, 0, lines) })
	readers.Go(func() { // takes a little at a time
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for last := 0; last < lines; {
			<-pace.C
			last = slow.skim(t, last, 1)
		}
	})
	readers.Wait()
	s.await(t, "agentexec_sockets", 2)
	slow.alive(t)
	healthy.alive(t)
	require.Contains(t, []int{4408, websocket.CloseAbnormalClosure}, dead.closed(t))
}

// TestSendingWithoutReading: who asks and does not take the answers is not read any more, then dropped.
func TestSendingWithoutReading(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Feed.WriteTimeout, c.Limits.MessagesPerSecond = 500*time.Millisecond, -1 })
	ws := s.open(t).ws
	junk := []byte(`{"type":"unsubscribe","sub":"` + strings.Repeat("x", 255) + `"}`)
	sent := 0
	for err := error(nil); err == nil; sent++ {
		_ = ws.SetWriteDeadline(time.Now().Add(patience))
		err = ws.WriteMessage(websocket.TextMessage, junk)
		require.Less(t, sent, 10_000_000)
	}
	t.Logf("%d messages went out", sent)
	s.await(t, "agentexec_sockets", 0)
}

// TestManySubscribersOfOneActivity: five hundred sockets on one activity all get all lines.
func TestManySubscribersOfOneActivity(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const sockets, lines = 500, 100
	id := s.create(t)
	var clients, ready sync.WaitGroup
	ready.Add(sockets)
	dialing := make(chan struct{}, 16) // more at once would time out on a small machine
	for range sockets {
		clients.Go(func() {
			arrived := sync.OnceFunc(ready.Done)
			defer arrived()
			dialing <- struct{}{}
			so := s.open(t)
			<-dialing
			so.subscribe(t, id, 0)
			require.Equal(t, "snapshot", so.next(t).Type)
			so.skim(t, 0, 1)
			arrived()
			so.skim(t, 1, lines-1)
		})
	}
	ready.Wait()
	for n := range lines - 1 {
		s.append(t, id, fmt.Sprint(n))
	}
	clients.Wait()
}

// TestSubscribeAndLeave: thousands of subscriptions leave nothing behind.
func TestSubscribeAndLeave(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id, other := s.create(t, "two"), s.create(t)
	var clients sync.WaitGroup
	for n := range 4 {
		clients.Go(func() {
			so := s.open(t)
			for round := range 100 {
				name := fmt.Sprint(round)
				so.send(t, fmt.Sprintf(`{"type":"subscribe","sub":%q,"agent_id":%q}`, name, id))
				so.send(t, fmt.Sprintf(`{"type":"subscribe","sub":"o","agent_id":%q}`, other))
				so.send(t, fmt.Sprintf(`{"type":"subscribe","sub":"l","list":{"limit":%d}}`, 1+(round+n)%20))
				if round%2 == 0 {
					so.pong(t)
				}
				so.send(t, fmt.Sprintf(`{"type":"unsubscribe","sub":%q}`, name))
				so.send(t, `{"type":"unsubscribe","sub":"o"}`)
				so.send(t, `{"type":"unsubscribe","sub":"l"}`)
				for left := 3; left > 0; {
					if m := so.next(t); m.Type == "unsubscribed" {
						left--
					} else if m.Type == "error" {
						t.Error(errors.New(m.raw))
						return
					}
				}
			}
			so.alive(t)
		})
	}
	clients.Wait()
	s.await(t, "agentexec_watched_activities", 0)
	s.await(t, "agentexec_watched_lists", 0)
}

// pong is alive among other frames.
func (s *socket) pong(t testing.TB) {
	t.Helper()
	s.send(t, `{"type":"ping"}`)
	for s.next(t).Type != "pong" {
	}
}
