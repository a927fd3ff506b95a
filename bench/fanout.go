package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const burstLines = 200

// relay is a contender of the fan-out: what a socket says to subscribe, and how lines come to it.
type relay struct {
	name  string
	mark  string // in every line, as a frame holds it
	greet []string
	ready func(frame []byte) bool
	send  func(ctx context.Context, conn *pgx.Conn, n int) error // n lines in one transaction, each with the time
}

func relays(id uuid.UUID) []relay {
	padding := strings.Repeat("x", 40)
	return []relay{{
		name:  "agentexec",
		mark:  `"seq": `,
		greet: []string{fmt.Sprintf(`{"type":"subscribe","agent_id":%q,"after_seq":2147483647}`, id)},
		ready: func(frame []byte) bool { return bytes.HasPrefix(frame, []byte(`{"type":"gap"`)) },
		send: func(ctx context.Context, conn *pgx.Conn, n int) error {
			_, err := conn.Exec(ctx, `select agentexec.append_logs(jsonb_agg(jsonb_build_object('agent_id', $1::uuid,
				'message', format('t=%s line %s of the burst %s', $3::bigint, i, $4::text)))) from generate_series(1, $2::int) i`,
				id, n, time.Now().UnixNano(), padding)
			return err
		},
	}, {
		name:  "centrifuge",
		mark:  `"seq"`,
		greet: []string{`{"id":1,"connect":{}}`, `{"id":2,"subscribe":{"channel":"bench"}}`},
		ready: func(frame []byte) bool { return bytes.Contains(frame, []byte(`"id":2`)) },
		send: func(ctx context.Context, conn *pgx.Conn, n int) error {
			_, err := conn.Exec(ctx, `select pg_notify('centrifuge', jsonb_build_object('id', i, 'seq', i, 'status', 'RUNNING',
				'percentage', null, 'data', null, 'created_at', clock_timestamp(),
				'message', format('t=%s line %s of the burst %s', $2::bigint, i, $3::text))::text) from generate_series(1, $1::int) i`,
				n, time.Now().UnixNano(), padding)
			return err
		},
	}}
}

// measureFanout sends one activity to many sockets, beside the centrifuge library fed by LISTEN.
func measureFanout(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	burst := table{
		title: fmt.Sprintf("Burst of %d lines in one transaction, to every socket", burstLines),
		note: "Deliveries per second, from before the transaction to the last delivery; processor time is the relay's. " +
			"Memory: resident, beyond what it was when 50 sockets had come and gone.",
		head: []string{"sockets", "relay", "deliveries/s", "CPU/delivery", "KB/idle socket", "rate ratio", "CPU ratio", "lost", "closed", "reach"},
	}
	constant := table{
		title: "Constant rate of 5 lines/s, to every socket",
		note:  "From before the transaction is sent to the frame, at one socket in fifty.",
		head:  []string{"sockets", "relay", "p50", "p99", "CPU/delivery", "reach"},
	}
	for _, n := range o.sockets {
		var results []fanoutResult
		for _, r := range relays(uuid.New()) {
			got, err := fanout(ctx, url, r, n, o)
			if err != nil {
				return nil, fmt.Errorf("%s, %d sockets: %w", r.name, n, err)
			}
			results = append(results, got)
		}
		peer := results[len(results)-1]
		for _, r := range results {
			burstReach, constantReach := r.reach(peer, n)
			burst.rows = append(burst.rows, []string{fmt.Sprint(n), r.name, fmt.Sprintf("%.0f", r.rate),
				fmt.Sprintf("%.2f µs", r.cpu), fmt.Sprintf("%.1f", r.idle/1024), ratio(r.rate / peer.rate), ratio(r.cpu / peer.cpu),
				strconv.FormatInt(r.lost, 10), strconv.FormatInt(r.closed, 10), burstReach})
			constant.rows = append(constant.rows, []string{fmt.Sprint(n), r.name, ms(r.constant, 0.5), ms(r.constant, 0.99),
				fmt.Sprintf("%.2f µs", r.constantCPU), constantReach})
		}
	}
	return []table{burst, constant}, nil
}

type fanoutResult struct {
	name                         string
	rate, cpu, idle, constantCPU float64
	lost, closed                 int64 // lines, and sockets that the relay closed
	constant                     []time.Duration
}

// reach returns the verdicts on the goals of a burst, and of a constant rate.
func (r fanoutResult) reach(peer fanoutResult, sockets int) (burst, constant string) {
	if r.name == peer.name {
		return "", ""
	}
	burst = verdict("rate >= 2.50", r.rate >= 2.5*peer.rate) + verdict("; CPU <= 0.25", r.cpu <= peer.cpu/4) +
		verdict("; <= 8 KB", r.idle <= 8<<10)
	if sockets >= 10000 {
		constant = verdict("p99 <= 250 ms", quantile(r.constant, 0.99) <= 250*time.Millisecond)
	}
	return burst, constant
}

// firstSockets come and go before memory is measured.
const firstSockets = 50

func fanout(ctx context.Context, url string, r relay, sockets int, o options) (fanoutResult, error) {
	got := fanoutResult{name: r.name}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return got, err
	}
	defer conn.Close(ctx)
	if r.name == "agentexec" {
		id := strings.Split(r.greet[0], `"`)[7]
		if _, err := conn.Exec(ctx, "select agentexec.create_activity('bench', agent_id => $1::uuid)", id); err != nil {
			return got, err
		}
	}
	c, err := startChild(ctx, r.name, url)
	if err != nil {
		return got, err
	}
	defer c.stop()
	open := func(sockets int) (*swarm, error) {
		return fly(ctx, c.feed, sockets, flight{mark: r.mark, greet: func(int) []string { return r.greet }, ready: r.ready})
	}
	// The memory that a process takes once, for its first sockets, is not counted for any socket.
	first, err := open(firstSockets)
	if err != nil {
		return got, err
	}
	first.close()
	empty := c.memory()
	s, err := open(sockets)
	if err != nil {
		return got, err
	}
	defer s.close()
	got.idle = float64(c.memory()-empty) / float64(sockets)

	// deliver returns how many lines arrived, a second. A relay may lose some; what it lost does not come later.
	deliver := func(lines int) (float64, error) {
		before, began := s.lines.Load(), time.Now()
		if err := r.send(ctx, conn, lines); err != nil {
			return 0, err
		}
		last, err := s.await(ctx, before+int64(lines*sockets))
		arrived := s.lines.Load() - before
		got.lost += int64(lines*sockets) - arrived
		return float64(arrived) / last.Sub(began).Seconds(), err
	}
	if _, err := deliver(burstLines); err != nil { // warm
		return got, err
	}
	var rates []float64
	cpu := c.cpu()
	for range o.rounds {
		rate, err := deliver(burstLines)
		if err != nil {
			return got, err
		}
		rates = append(rates, rate)
	}
	got.rate = median(rates)
	got.cpu = float64((c.cpu() - cpu).Microseconds()) / float64(o.rounds*burstLines*sockets)

	_ = s.taken()
	cpu = c.cpu()
	n, seen := 0, s.lines.Load()
	for began := time.Now(); time.Since(began) < total(o); n++ {
		time.Sleep(time.Until(began.Add(time.Duration(n) * 200 * time.Millisecond)))
		if err := r.send(ctx, conn, 1); err != nil {
			return got, err
		}
	}
	want := seen + int64(n*sockets)
	if _, err := s.await(ctx, want); err != nil {
		return got, err
	}
	got.lost += want - s.lines.Load()
	got.closed = s.closed.Load()
	got.constant = s.taken()
	got.constantCPU = float64((c.cpu() - cpu).Microseconds()) / float64(n*sockets)
	return got, nil
}
