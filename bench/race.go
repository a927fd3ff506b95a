package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// contender does one thing over and over, on as many connections as there are writers.
type contender struct {
	name string
	// url is the database, if it is not the one of the whole race.
	url string
	// settings are SQL for each connection, before its first turn.
	settings string
	// ownConns says that op brings its own connections: it is called with nil.
	ownConns bool
	// op is one unit of work of one writer; n counts its calls.
	op func(ctx context.Context, conn *pgx.Conn, writer, n int) error
	// before and after, if set, frame a turn: what must run beside it.
	before, after func(ctx context.Context) error
}

// outcome is what a contender did per second, in each round.
type outcome struct {
	name  string
	rates []float64
}

func (o outcome) median() float64 { return median(o.rates) }

// over is the median of the ratios of each round to another contender's in the same round: what the machine does
// meanwhile hits both.
func (o outcome) over(other outcome) float64 {
	ratios := make([]float64, len(o.rates))
	for i := range ratios {
		ratios[i] = o.rates[i] / other.rates[i]
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// race lets the contenders take turns and returns their rates, in the order given.
func race(ctx context.Context, url string, writers int, o options, contenders []contender) ([]outcome, error) {
	outcomes := make([]outcome, len(contenders))
	crews := make([]crew, len(contenders))
	for i, c := range contenders {
		outcomes[i].name = c.name
		hired, err := hire(ctx, url, writers, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		defer hired.close(ctx)
		crews[i] = hired
	}
	for round := -1; round < o.rounds; round++ { // round -1 warms up
		for i, c := range contenders {
			each := o.each
			if round < 0 {
				each = min(each/2, time.Second)
			}
			rate, err := turn(ctx, c, crews[i], o.lead, each)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if round >= 0 {
				outcomes[i].rates = append(outcomes[i].rates, rate)
			}
		}
	}
	return outcomes, nil
}

// crew are the connections of a contender.
type crew []*pgx.Conn

func (c crew) close(ctx context.Context) {
	for _, conn := range c {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}
}

// connect opens n connections, each with the settings given.
func connect(ctx context.Context, url string, n int, settings ...string) (crew, error) {
	conns := make(crew, 0, n)
	for range n {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			conns.close(ctx)
			return nil, err
		}
		conns = append(conns, conn)
		for _, sql := range settings {
			if _, err := conn.Exec(ctx, sql); err != nil {
				conns.close(ctx)
				return nil, err
			}
		}
	}
	return conns, nil
}

// hire opens a contender's connections.
func hire(ctx context.Context, url string, writers int, c contender) (crew, error) {
	if c.ownConns {
		return make(crew, writers), nil
	}
	if c.url != "" {
		url = c.url
	}
	return connect(ctx, url, writers, c.settings)
}

// turn lets one contender work, first for the lead, which does not count.
func turn(ctx context.Context, c contender, conns crew, lead, each time.Duration) (rate float64, err error) {
	if c.before != nil {
		if err := c.before(ctx); err != nil {
			return 0, err
		}
	}
	var (
		done    atomic.Int64
		clients sync.WaitGroup
		fail    = make(chan error, len(conns))
		began   = time.Now().Add(lead)
	)
	for w, conn := range conns {
		clients.Go(func() {
			for n := 0; time.Since(began) < each; n++ {
				if err := c.op(ctx, conn, w, n); err != nil {
					fail <- err
					return
				}
				if time.Since(began) > 0 {
					done.Add(1)
				}
			}
		})
	}
	clients.Wait()
	rate = float64(done.Load()) / time.Since(began).Seconds()
	if c.after != nil {
		err = c.after(ctx)
	}
	select {
	case err = <-fail:
	default:
	}
	return rate, err
}
