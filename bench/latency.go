package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/sidecar"
)

// latencyRates are the lines per second tried.
var latencyRates = []int{10, 100, 1000, 5000}

// measureLatency sends the time in the message and looks at it when the frame arrives. The clock starts before the
// append is sent, in this process, so what is measured holds the append and its commit too; so does the bare LISTEN
// round trip, a pg_notify that travels the same way.
func measureLatency(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	ids, err := makeActivities(ctx, url, "agentexec", benchActivities)
	if err != nil {
		return nil, err
	}
	feed, stopSidecar, err := startSidecar(ctx, url, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer stopSidecar()

	t := table{
		title: "Send to frame, beside send to notification",
		note:  "From before the statement is sent to its arrival at the other end, commit included; one socket, 50 activities watched on it.",
		head:  []string{"lines/s", "LISTEN p50", "LISTEN p99", "frame p50", "frame p99", "p50 ratio", "lines"},
	}
	bare, err := listenLatency(ctx, url, o)
	if err != nil {
		return nil, err
	}
	for _, rate := range latencyRates {
		got, err := frameLatency(ctx, url, feed, ids[:50], rate, o)
		if err != nil {
			return nil, err
		}
		t.rows = append(t.rows, []string{strconv.Itoa(rate), ms(bare, 0.5), ms(bare, 0.99), ms(got, 0.5), ms(got, 0.99),
			ratio(quantile(got, 0.5).Seconds() / quantile(bare, 0.5).Seconds()), strconv.Itoa(len(got))})
	}
	return []table{t}, nil
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func ms(sorted []time.Duration, q float64) string {
	if len(sorted) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", quantile(sorted, q).Seconds()*1000)
}

// startSidecar runs a sidecar in this process; stop waits for it.
func startSidecar(ctx context.Context, url, addr string) (feed string, stop func(), err error) {
	ready := make(chan string, 1)
	s, err := sidecar.New(sidecar.Config{
		DatabaseURL: url, Addr: addr, OnReady: func(u string) { ready <- u },
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case u := <-ready:
		stop := func() {
			cancel()
			if err := <-done; err != nil {
				fmt.Fprintln(os.Stderr, "bench: the sidecar ended with", err)
			}
		}
		return "ws" + strings.TrimPrefix(u, "http") + "/v1/feed", stop, nil
	case err := <-done:
		cancel()
		return "", nil, errors.Join(errors.New("the sidecar ended"), err)
	}
}

// listenLatency is the round trip of a bare notification, at ten a second.
func listenLatency(ctx context.Context, url string, o options) ([]time.Duration, error) {
	ears, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer ears.Close(ctx)
	mouth, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer mouth.Close(ctx)
	if _, err := ears.Exec(ctx, "listen bench"); err != nil {
		return nil, err
	}
	var took []time.Duration
	for range 10 * int(max(1, total(o).Seconds())) {
		began := time.Now()
		if _, err := mouth.Exec(ctx, "select pg_notify('bench', '')"); err != nil {
			return nil, err
		}
		if _, err := ears.WaitForNotification(ctx); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
		time.Sleep(100 * time.Millisecond)
	}
	slices.Sort(took)
	return took, nil
}

func total(o options) time.Duration { return time.Duration(o.rounds) * o.each }

// frameLatency watches the activities on one socket while lines are appended at a rate.
func frameLatency(ctx context.Context, url, feed string, ids []uuid.UUID, rate int, o options) ([]time.Duration, error) {
	ws, resp, err := websocket.DefaultDialer.DialContext(ctx, feed, nil)
	if err != nil {
		return nil, err
	}
	defer ws.Close()
	_ = resp.Body.Close()
	for _, id := range ids {
		sub := map[string]any{"type": "subscribe", "agent_id": id, "after_seq": 2147483646}
		if err := ws.WriteJSON(sub); err != nil {
			return nil, err
		}
	}
	ready, arrived := make(chan struct{}), make(chan []time.Duration, 1)
	want := rate * int(max(1, total(o).Seconds()))
	go watchFrames(ws, len(ids), want, ready, arrived)
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		return nil, errors.New("the subscriptions did not become live")
	}
	if err := appendAtRate(ctx, url, ids, rate, want); err != nil {
		return nil, err
	}
	select {
	case took := <-arrived:
		slices.Sort(took)
		return took, nil
	case <-time.After(10 * time.Second):
		return nil, errors.New("lines are missing")
	}
}

// watchFrames takes frames until all lines have come. A gap frame (reset) says that a subscription is live.
func watchFrames(ws *websocket.Conn, subs, want int, ready chan<- struct{}, arrived chan<- []time.Duration) {
	took := make([]time.Duration, 0, want)
	for len(took) < want {
		_, data, err := ws.ReadMessage()
		now := time.Now()
		if err != nil {
			return
		}
		text := string(data)
		if strings.HasPrefix(text, `{"type":"gap"`) {
			if subs--; subs == 0 {
				close(ready)
			}
			continue
		}
		for _, part := range strings.Split(text, `"message": "t=`)[1:] {
			digits, _, _ := strings.Cut(part, `"`)
			if sent, err := strconv.ParseInt(digits, 10, 64); err == nil {
				took = append(took, now.Sub(time.Unix(0, sent)))
			}
		}
	}
	arrived <- took
}

// appendAtRate appends n lines, evenly spaced, over as many connections as the rate needs.
func appendAtRate(ctx context.Context, url string, ids []uuid.UUID, rate, n int) error {
	writers := min(8, max(1, rate/250))
	var crowd sync.WaitGroup
	fail := make(chan error, writers)
	gap := time.Second * time.Duration(writers) / time.Duration(rate)
	for w := range writers {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		crowd.Go(func() {
			next := time.Now().Add(gap * time.Duration(w) / time.Duration(writers))
			for i := w; i < n; i += writers {
				time.Sleep(time.Until(next))
				next = next.Add(gap)
				_, err := conn.Exec(ctx, `select agentexec.append_log($1, $2)`, ids[i%len(ids)], fmt.Sprintf("t=%d", time.Now().UnixNano()))
				if err != nil {
					fail <- err
					return
				}
			}
		})
	}
	crowd.Wait()
	select {
	case err := <-fail:
		return err
	default:
		return nil
	}
}
