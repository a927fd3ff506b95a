package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// faults cut connections: an answer that arrives, of a statement that is committed then, or a request before it is sent. The
// chance is that of a cut, in thousandths.
type faults struct{ chance, answers, requests atomic.Int64 }

func (f *faults) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &faultyConn{conn, f}, nil
}

func (f *faults) hit(counter *atomic.Int64) bool {
	if rand.Int64N(1000) >= f.chance.Load() {
		return false
	}
	counter.Add(1)
	return true
}

type faultyConn struct {
	net.Conn
	*faults
}

func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.hit(&c.answers) {
		_ = c.Close()
		return 0, errors.New("the answer was cut off")
	}
	return n, err
}

func (c *faultyConn) Write(p []byte) (int, error) {
	if c.hit(&c.requests) {
		n, _ := c.Conn.Write(p[:len(p)/2])
		_ = c.Close()
		return n, errors.New("the request was cut off")
	}
	return c.Conn.Write(p)
}

// Backends of the run are killed again and again, answers are cut off after the commit and requests before it, while another
// program appends to the same activity. Every line of both is stored once, and in order.
func TestRunWithBrokenConnections(t *testing.T) {
	t.Parallel()
	b := setup(t)
	f := new(faults)
	pool := b.db.Pool(t, sessionsNamed("storm"), func(c *pgxpool.Config) { c.ConnConfig.DialFunc = f.dial })
	const records = 3000
	var others, killed atomic.Int64
	over := make(chan struct{})
	var beside sync.WaitGroup
	var id uuid.UUID
	err := client.New(pool).Run(b.ctx, client.RunParams{TaskName: "n", EndTimeout: time.Minute}, func(ctx context.Context, run *client.Run) error {
		id = run.AgentID()
		f.chance.Store(40)
		beside.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
				}
				if _, err := b.c.Update(b.ctx, id, fmt.Sprint("other ", others.Load())); err == nil {
					others.Add(1)
				}
			}
		})
		beside.Go(func() {
			for seq := 0; ; {
				select {
				case <-over:
					return
				case <-time.After(30 * time.Millisecond):
				}
				now := b.state(t, id).LastSeq
				if now < seq+100 { // the run must get on
					continue
				}
				seq = now
				var n int64
				require.NoError(t, b.pool.QueryRow(b.ctx, `select count(pg_terminate_backend(a.pid)) from pg_stat_activity a
					where a.datname = current_database() and a.application_name = 'storm'`).Scan(&n))
				killed.Add(n)
			}
		})
		log := run.Logger()
		for i := range records {
			if i%3 == 0 {
				log.Info(fmt.Sprint("run ", i), "i", i)
			} else {
				fmt.Fprintln(run.Writer(), "run", i)
			}
			if i%97 == 0 {
				require.NoError(t, run.Flush(ctx))
			}
		}
		return nil
	})
	close(over)
	beside.Wait()
	require.NoError(t, err)

	next := map[string]int{}
	lines := b.lines(t, id)
	for _, message := range messages(t, lines, 1) {
		var i int
		name, number, _ := strings.Cut(message, " ")
		if n, _ := fmt.Sscan(number, &i); n == 1 {
			require.Equal(t, next[name], i, message)
			next[name]++
		}
	}
	t.Logf("%d lines of the run, %d of the other, %d backends killed, %d answers and %d requests cut off",
		next["run"], next["other"], killed.Load(), f.answers.Load(), f.requests.Load())
	require.Equal(t, map[string]int{"run": records, "other": int(others.Load())}, next)
	require.Equal(t, client.StatusComplete, b.state(t, id).Status)
	require.Greater(t, killed.Load(), int64(5))
	require.Greater(t, f.answers.Load(), int64(5))
}
