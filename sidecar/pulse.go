package sidecar

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// A LISTEN that stands may still be deaf: behind a pooler in transaction mode nothing ever arrives, and a connection
// whose other end vanished looks alive for minutes. So the listener rings itself and expects to hear it.
const (
	pulseInterval = 5 * time.Second
	// echoTimeout is how long a pulse may take before the connection counts as deaf.
	echoTimeout = 3 * time.Second
	// pulsesBeforePolling is how many unheard pulses, with none ever heard, mean that LISTEN does not work here.
	pulsesBeforePolling = 2
)

type pulse struct {
	id      string // this sidecar's, so that it knows its own pulse
	send    func(ctx context.Context, id string) error
	started chan struct{} // LISTEN stands: do not wait for the next tick
	echo    chan struct{}
	ever    bool // a pulse has been heard
	unheard int
	// hopeless: LISTEN stood from the start and nothing was ever heard.
	hopeless atomic.Bool
}

func newPulse(send func(ctx context.Context, id string) error) *pulse {
	return &pulse{id: uuid.NewString(), send: send, started: make(chan struct{}, 1), echo: make(chan struct{}, 1)}
}

func (p *pulse) begin() { signal(p.started) }
func (p *pulse) heard() { signal(p.echo) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run sends a pulse when LISTEN begins to stand and at every interval, until ctx ends.
func (p *pulse) run(ctx context.Context, l *listener) {
	tick := time.NewTicker(pulseInterval)
	defer tick.Stop()
	failed := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.started:
		case <-tick.C:
		}
		conn := l.standing()
		if conn == nil {
			continue // silence would prove nothing; begin comes when LISTEN stands
		}
		select {
		case <-p.echo: // of a pulse that was given up
		default:
		}
		began := time.Now()
		sending, cancel := context.WithTimeout(ctx, echoTimeout)
		err := p.send(sending, p.id)
		cancel()
		if err != nil {
			// Nothing was sent, so silence proves nothing. After a restart of Postgres each connection of the pool fails
			// once: try again, soon.
			failed++
			select {
			case <-ctx.Done():
				return
			case <-time.After(reconnectDelay(failed)):
				p.begin()
			}
			continue
		}
		failed = 0
		select {
		case <-ctx.Done():
			return
		case <-p.echo:
			p.ever, p.unheard = true, 0
			l.metrics.echo.Set(time.Since(began).Seconds())
			p.hopeless.Store(false)
		case <-time.After(echoTimeout):
			if l.standing() == conn {
				p.silence(l, conn)
			}
		}
	}
}

// crowdedAbove is the share of the notification queue that may be full before the bell is left. A session that listens
// and holds a transaction open keeps all that is sent meanwhile; the queue is the whole instance's.
const crowdedAbove = 0.5

// crowd takes how full the notification queue is, and reports whether that is too full since now.
func (b *bell) crowd(usage float64) bool {
	b.queue.Store(math.Float64bits(usage))
	crowded := usage > crowdedAbove
	if b.crowded.Swap(crowded) == crowded {
		return false
	}
	b.ring() // has the tail leave the bell, or take it up again
	return crowded
}

// silence is a pulse that did not come back.
func (p *pulse) silence(l *listener, conn *pgx.Conn) {
	p.unheard++
	l.bell.ears.Store(false)
	switch {
	case p.ever:
		l.log.Warn("LISTEN has gone deaf; connecting anew, reading on a timer meanwhile")
		l.hangUp(conn)
	case p.unheard == pulsesBeforePolling:
		p.hopeless.Store(true)
		l.log.Warn("nothing is heard through LISTEN (is there a pooler in transaction mode?); polling instead: " +
			"give a direct connection as AGENTEXEC_LISTEN_URL, or say --listen=off to be rid of this line")
	}
}
