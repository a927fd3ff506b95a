package tail

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/notify"
	"github.com/agentexec/agentexec/sidecar/internal/database"
)

// A LISTEN that succeeded proves little: behind a pooler in transaction mode nothing ever arrives, and a connection
// whose other end vanished looks alive for minutes. So the listener notifies itself and expects the probe to arrive.
const (
	listenProbeInterval = 5 * time.Second
	// listenProbeTimeout is the longest round trip; a listener whose probe takes longer is unhealthy.
	listenProbeTimeout = 3 * time.Second
	// lostProbesBeforePolling is after how many lost probes, with none ever received, LISTEN counts as not working here.
	lostProbesBeforePolling = 2
)

// listenProbe measures the round trip of a notification that the sidecar sends to itself.
type listenProbe struct {
	id      string // this sidecar's, so that it recognises its own probe
	send    func(ctx context.Context, id string) error
	due     notify.Signal // LISTEN has succeeded: do not wait for the next tick
	arrival notify.Signal
	ever    bool // a probe has arrived
	lost    int
	// unusable: LISTEN succeeded from the start and no probe ever arrived.
	unusable atomic.Bool
}

func newListenProbe(send func(ctx context.Context, id string) error) *listenProbe {
	return &listenProbe{id: uuid.NewString(), send: send, due: notify.NewSignal(), arrival: notify.NewSignal()}
}

func (p *listenProbe) trigger() { p.due.Set() }
func (p *listenProbe) arrived() { p.arrival.Set() }

// run sends a probe after each successful LISTEN and at every interval, until ctx ends.
func (p *listenProbe) run(ctx context.Context, l *listener) {
	tick := time.NewTicker(listenProbeInterval)
	defer tick.Stop()
	failed := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.due:
		case <-tick.C:
		}
		conn := l.current()
		if conn == nil {
			continue // no connection listens, so a lost probe would prove nothing; trigger comes with the next one
		}
		select {
		case <-p.arrival: // of an earlier probe that counted as lost
		default:
		}
		began := time.Now()
		sending, cancel := context.WithTimeout(ctx, listenProbeTimeout)
		err := p.send(sending, p.id)
		cancel()
		if err != nil {
			// Nothing was sent, so nothing can arrive. After a restart of Postgres each connection of the pool fails
			// once: try again, soon.
			failed++
			if backoff.Wait(ctx, database.ReconnectDelay(failed)) != nil {
				return
			}
			p.trigger()
			continue
		}
		failed = 0
		select {
		case <-ctx.Done():
			return
		case <-p.arrival:
			p.ever, p.lost = true, 0
			l.metrics.roundTrip.Set(time.Since(began).Seconds())
			p.unusable.Store(false)
		case <-time.After(listenProbeTimeout):
			if l.current() == conn {
				p.onLost(l, conn)
			}
		}
	}
}

// setQueueUsage stores the usage of the notification queue, and reports whether it has just become near full.
func (w *wakeup) setQueueUsage(usage float64) (nowNearFull bool) {
	nearFull := usage > notify.QueueNearFull
	if w.queueNearFull.Swap(nearFull) == nearFull {
		return false
	}
	w.pending.Set() // makes the tail release the wake-up lock, or take it again
	return nearFull
}

// onLost handles a probe that did not arrive in time.
func (p *listenProbe) onLost(l *listener, conn *pgx.Conn) {
	p.lost++
	l.wakeup.healthy.Store(false)
	switch {
	case p.ever:
		l.log.Warn("listener unhealthy; reconnecting, reading on a timer meanwhile")
		l.drop(conn)
	case p.lost == lostProbesBeforePolling:
		p.unusable.Store(true)
		l.log.Warn("no notification arrives (is there a pooler in transaction mode?); polling instead: " +
			"set AGENTEXEC_LISTEN_URL to a direct connection, or --listen=off to silence this message")
	}
}
