package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
)

// swarm is many sockets that take frames and count the lines in them.
type swarm struct {
	flight
	sockets []*websocket.Conn
	readers sync.WaitGroup
	lines   atomic.Int64
	lists   atomic.Int64 // frames of live lists
	closed  atomic.Int64 // sockets the other side closed
	closing atomic.Bool  // we close them

	// Where the flight knows the last seq of each activity: how far each has come, and what did not come once.
	seqs           map[uuid.UUID]*atomic.Int64
	lost, repeated atomic.Int64

	mu    sync.Mutex // of noted, and of sockets while they are opened
	noted []arrival  // of lines that carry their time, from a sample of the sockets
}

// flight is what a swarm sets out with.
type flight struct {
	mark   string                  // one in every line
	header func(n int) http.Header // what the n-th socket says before that; nil for nothing
	greet  func(n int) []string    // what the n-th socket has to say first
	ready  func(frame []byte) bool // tells the frame that answers it
	sample int                     // one socket in so many notes delays; 0 for 50
	asleep bool                    // the sockets do not read until they are woken
	last   map[uuid.UUID]int64     // where each activity begins, if every seq is to be checked; one socket for each
}

// fly opens n sockets.
func fly(ctx context.Context, feed string, n int, f flight) (*swarm, error) {
	if f.sample == 0 {
		f.sample = 50
	}
	s := &swarm{flight: f, seqs: make(map[uuid.UUID]*atomic.Int64, len(f.last))}
	for id, seq := range f.last {
		s.seqs[id] = new(atomic.Int64)
		s.seqs[id].Store(seq)
	}
	var open sync.WaitGroup
	fail := make(chan error, n)
	places := make(chan struct{}, 64) // so many at a time
	for i := range n {
		open.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			var header http.Header
			if f.header != nil {
				header = f.header(i)
			}
			ws, err := dialFeed(ctx, feed, header, f.greet(i), f.ready)
			if err != nil {
				fail <- err
				return
			}
			s.add(ws)
		})
	}
	open.Wait()
	select {
	case err := <-fail:
		s.close()
		return nil, err
	default:
		return s, nil
	}
}

// add takes a socket in. It reads from now on: while the others are opened it has pings to answer.
func (s *swarm) add(ws *websocket.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets = append(s.sockets, ws)
	if !s.asleep {
		s.wake(len(s.sockets) - 1)
	}
}

// wake lets a socket read from now on.
func (s *swarm) wake(i int) {
	ws := s.sockets[i]
	s.readers.Go(func() { s.read(ws, i%s.sample == 0) })
}

func dialFeed(ctx context.Context, feed string, header http.Header, greet []string, ready func([]byte) bool) (*websocket.Conn, error) {
	d := websocket.Dialer{ReadBufferSize: 4096, WriteBufferSize: 256, HandshakeTimeout: 30 * time.Second}
	ws, resp, err := d.DialContext(ctx, feed, header)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	for _, m := range greet {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			return nil, err
		}
	}
	_ = ws.SetReadDeadline(time.Now().Add(60 * time.Second))
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return nil, fmt.Errorf("waiting to become live: %w", err)
		}
		if ready(data) {
			return ws, ws.SetReadDeadline(time.Time{})
		}
	}
}

func (s *swarm) read(ws *websocket.Conn, sample bool) {
	mark := []byte(s.mark)
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			s.end(err)
			return
		}
		if isPing(data) {
			_ = ws.WriteMessage(websocket.TextMessage, []byte(`{}`))
		}
		if bytes.HasPrefix(data, []byte(`{"type":"changes"`)) {
			s.lists.Add(1)
			continue // its items have a seq, too
		}
		if n := bytes.Count(data, mark); n > 0 {
			if sample {
				s.note(data)
			}
			if len(s.seqs) > 0 {
				s.check(data)
			}
			s.lines.Add(int64(n))
		}
	}
}

// isPing tells centrifuge's ping, which wants an answer: an empty object on a line of its own, in a frame of several.
func isPing(frame []byte) bool {
	return bytes.HasPrefix(frame, []byte("{}")) || bytes.Contains(frame, []byte("\n{}"))
}

// end notes a socket that was closed by the other side.
func (s *swarm) end(err error) {
	if s.closing.Load() {
		return
	}
	if s.closed.Add(1) == 1 {
		fmt.Fprintln(os.Stderr, "bench: a socket was closed:", err)
	}
}

// isSnapshot tells the frame that answers a subscription.
func isSnapshot(frame []byte) bool { return bytes.HasPrefix(frame, []byte(`{"type":"snapshot"`)) }

// check looks at each line's seq: the one after the last, or something is lost or repeated.
func (s *swarm) check(frame []byte) {
	_, rest, _ := bytes.Cut(frame, []byte(`"sub":"`))
	id, err := uuid.ParseBytes(rest[:min(36, len(rest))])
	at := s.seqs[id]
	if err != nil || at == nil {
		return
	}
	for _, part := range bytes.Split(rest, []byte(s.mark))[1:] {
		seq, _ := leadingNumber(part)
		if last := at.Load(); seq <= last {
			s.repeated.Add(1)
		} else {
			s.lost.Add(seq - last - 1)
			at.Store(seq)
		}
	}
}

// behind waits until every activity has come as far as said, and returns how many have not by the timeout.
func (s *swarm) behind(ctx context.Context, want map[uuid.UUID]int64, timeout time.Duration) (late int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		late = 0
		for id, at := range s.seqs {
			if at.Load() < want[id] {
				late++
			}
		}
		if late == 0 || time.Since(began) > timeout {
			return late
		}
		select {
		case <-ctx.Done():
			return late
		case <-tick.C:
		}
	}
}

func (s *swarm) note(data []byte) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, part := range bytes.Split(data, []byte("t="))[1:] {
		if sent, ok := leadingNumber(part); ok {
			s.noted = append(s.noted, arrival{sent, now})
		}
	}
}

func leadingNumber(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		n, ok = n*10+int64(c-'0'), true
	}
	return n, ok
}

// arrival is when a line came whose message says when it was sent, in Unix nanoseconds.
type arrival struct {
	sent int64
	at   time.Time
}

// arrivals are what was noted so far; noting begins anew.
func (s *swarm) arrivals() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.noted
	s.noted = nil
	return all
}

// taken is the time from send to arrival of what was noted so far, sorted; noting begins anew.
func (s *swarm) taken() []time.Duration {
	var took []time.Duration
	for _, a := range s.arrivals() {
		took = append(took, a.at.Sub(time.Unix(0, a.sent)))
	}
	slices.Sort(took)
	return took
}

// stall is how long without a line means that no more will come.
const stall = 5 * time.Second

// await waits until so many lines have arrived in all, or none come any more. It returns when the last one came.
func (s *swarm) await(ctx context.Context, lines int64) (last time.Time, err error) {
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	last = time.Now()
	for seen := s.lines.Load(); seen < lines && time.Since(last) < stall; {
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-tick.C:
		}
		if now := s.lines.Load(); now > seen {
			seen, last = now, time.Now()
		}
	}
	if got := s.lines.Load(); got > lines {
		return last, fmt.Errorf("%d lines arrived, %d were sent", got, lines)
	}
	return last, nil
}

func (s *swarm) close() {
	s.closing.Store(true)
	for _, ws := range s.sockets {
		_ = ws.Close()
	}
	s.readers.Wait()
}
