package sidecar

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/notify"
	"github.com/agentexec/agentexec/sidecar/internal/database"
	"github.com/agentexec/agentexec/sidecar/internal/httpapi"
)

const (
	// probeInterval is the pause between two probes of one part.
	probeInterval = 2 * time.Second
	// probeTimeout bounds one probe.
	probeTimeout = 2 * time.Second
	// starvedAfter is how long probes of a part may fail before the sidecar is not ready. It is longer than requests wait for a
	// locked row, so that such waits alone change nothing.
	starvedAfter = 10 * time.Second
)

// probe checks whether a part of the service could serve the next request. It uses what a request uses: its slot, its pool,
// its memory.
type probe struct {
	name string
	what string // the resource that was not available
	try  func(ctx context.Context) error

	since  atomic.Int64 // the last success, or the start, in Unix nanoseconds
	failed atomic.Bool  // the last attempt
}

func (s *Server) newProbes() []*probe {
	d := s.database
	readable := "select from " + pgx.Identifier{s.cfg.Schema, "activity"}.Sanitize() + " limit 1" // waits where a session has locked the table
	return []*probe{
		{name: "reads", what: "a connection for reads", try: probePool(s.readSlots, d.Reads, readable)},
		{name: "writes", what: "a connection for writes", try: probePool(s.writeSlots, d.Writes, "select")},
		{name: "memory", what: "memory for answers", try: func(ctx context.Context) error {
			share, err := s.memory.Reserve(ctx, "", httpapi.PageBytes)
			share.Release()
			return err
		}},
	}
}

func probePool(slots httpapi.Slots, pool *database.Pool, sql string) func(context.Context) error {
	return func(ctx context.Context) error {
		leave := slots.Enter(ctx)
		if leave == nil {
			return context.DeadlineExceeded
		}
		defer leave()
		_, err := pool.Exec(ctx, sql)
		return err
	}
}

// run probes until ctx ends.
func (p *probe) run(ctx context.Context) {
	p.since.Store(time.Now().UnixNano())
	for ctx.Err() == nil {
		p.once(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(probeInterval):
		}
	}
}

func (p *probe) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := p.try(ctx)
	p.failed.Store(err != nil)
	if err == nil {
		p.since.Store(time.Now().UnixNano())
	}
}

// problem returns the resource that is not available, "" where there is none.
func (p *probe) problem() string {
	age := time.Since(time.Unix(0, p.since.Load()))
	if !p.failed.Load() && age < 2*starvedAfter || age < starvedAfter {
		return ""
	}
	return fmt.Sprintf("%s: %s was not available for %.0f s", p.name, p.what, age.Seconds())
}

// runProbes runs all probes until ctx ends.
func (s *Server) runProbes(ctx context.Context) {
	var running sync.WaitGroup
	for _, p := range s.probes {
		running.Go(func() { p.run(ctx) })
	}
	running.Wait()
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready  bool   `json:"ready"`
	Tail   bool   `json:"tail"`
	Listen string `json:"listen"`
	// Parts are the probes by name: whether the next request would be served.
	Parts map[string]bool `json:"parts"`
	// Problems say why the sidecar is not ready.
	Problems []string `json:"problems,omitempty"`
	// Holder is a foreign session that holds the wake-up lock. The sidecar polls meanwhile, and is ready.
	Holder *notify.Holder `json:"wakeup_lock_held_by,omitempty"`
}

// readyz reports whether a request would be served now, and lines reach the sockets as they commit: the tail reads, the
// listener receives its probe, and reads, writes and answers get their resources. A timer reads where LISTEN does not work at
// all, or the notification queue is near full ("polling"), or LISTEN is off ("off"). readyz queries nothing and waits for
// nothing, so it answers at once even when everything else is starved.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	feed := s.tail.Health()
	r := readiness{Tail: feed.Tail, Listen: feed.Listener, Parts: make(map[string]bool), Holder: feed.Holder}
	switch {
	case !s.ready.Load():
		r.Problems = append(r.Problems, "the database has not been reached yet")
	case !feed.Tail:
		r.Problems = append(r.Problems, "tail: no read has succeeded for "+ageText(feed.TailAge))
	case feed.Listener == "unhealthy":
		r.Problems = append(r.Problems, "listener unhealthy: its probe does not arrive")
	}
	for _, p := range s.probes {
		problem := p.problem()
		r.Parts[p.name] = s.ready.Load() && problem == ""
		if s.ready.Load() && problem != "" {
			r.Problems = append(r.Problems, problem)
		}
	}
	r.Ready = len(r.Problems) == 0
	status := http.StatusOK
	if !r.Ready {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, r)
}

func ageText(d time.Duration) string {
	if d > 24*time.Hour {
		return "the time since the start"
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}
