package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// swarm is many sockets that take frames and count the lines in them.
type swarm struct {
	sockets []*websocket.Conn
	lines   atomic.Int64
	readers sync.WaitGroup
	mark    []byte // one in every line
	mu      sync.Mutex
	delays  []time.Duration // send to arrival, of lines that carry their time, from a sample of the sockets
}

// fly opens n sockets; greet sends what each has to say first, and ready tells the frame that answers it.
func fly(ctx context.Context, feed string, n int, mark string, greet func(n int) []string, ready func(frame []byte) bool) (*swarm, error) {
	s := &swarm{mark: []byte(mark)}
	var open sync.WaitGroup
	fail := make(chan error, n)
	places := make(chan struct{}, 64) // so many at a time
	conns := make(chan *websocket.Conn, n)
	for i := range n {
		open.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			ws, err := dialFeed(ctx, feed, greet(i), ready)
			if err != nil {
				fail <- err
				return
			}
			conns <- ws
		})
	}
	open.Wait()
	close(conns)
	for ws := range conns {
		sample := len(s.sockets)%50 == 0
		s.sockets = append(s.sockets, ws)
		s.readers.Go(func() { s.read(ws, sample) })
	}
	select {
	case err := <-fail:
		s.close()
		return nil, err
	default:
		return s, nil
	}
}

func dialFeed(ctx context.Context, feed string, greet []string, ready func([]byte) bool) (*websocket.Conn, error) {
	d := websocket.Dialer{ReadBufferSize: 4096, WriteBufferSize: 256, HandshakeTimeout: 30 * time.Second}
	ws, resp, err := d.DialContext(ctx, feed, nil)
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
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return
		}
		if n := bytes.Count(data, s.mark); n > 0 {
			if sample {
				s.note(data)
			}
			s.lines.Add(int64(n))
		}
	}
}

func (s *swarm) note(data []byte) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, part := range bytes.Split(data, []byte("t="))[1:] {
		if sent, ok := leadingNumber(part); ok {
			s.delays = append(s.delays, now.Sub(time.Unix(0, sent)))
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

// taken are the delays noted so far, sorted; noting begins anew.
func (s *swarm) taken() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.delays
	s.delays = nil
	slices.Sort(d)
	return d
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
	for _, ws := range s.sockets {
		_ = ws.Close()
	}
	s.readers.Wait()
}
