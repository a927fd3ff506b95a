package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/budget"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/wsfeed"
)

// Server is one sidecar.
type Server struct {
	cfg         Config
	database    *database
	hub         *wsfeed.Hub
	tail        *tail
	metrics     *metrics
	memory      *budget.Budget // for bodies and answers of the API
	readSlots   slots
	writeSlots  slots
	probes      []*probe
	access      *access
	routes      http.Handler
	connections atomic.Int64 // open
	certificate *certificate // nil without TLS
	ready       atomic.Bool  // the schema was found; there is no point in a request before
}

const (
	shutdownTimeout = 10 * time.Second
	closeTimeout    = 2 * time.Second
)

// New checks a configuration and makes a sidecar of it. It connects to nothing yet.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, metrics: newMetrics(cfg.Limits), memory: budget.New(int64(cfg.Limits.HeldBytes))}
	s.access, err = openAccess(accessConfig{
		auth: cfg.Auth.config(cfg.Logger), allowOrigins: cfg.AllowOrigins, allowLocalOrigins: cfg.AllowLocalOrigins,
		trustedProxies: cfg.TrustedProxies, proxyHeader: cfg.ProxyHeader, requestsPerSecond: cfg.Limits.RequestsPerSecond,
		metrics: s.metrics.registry, note: s.metrics.limits.note, log: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	if cfg.TLSCert != "" {
		if s.certificate, err = loadCertificate(cfg.TLSCert, cfg.TLSKey, cfg.Logger); err != nil {
			return nil, err
		}
	}
	db, err := openDatabase(databaseConfig{
		url: cfg.DatabaseURL, listenURL: cfg.ListenURL,
		reads:  max(1, cfg.reads()-cfg.Limits.CatchUpReads) + cfg.Limits.CatchUpReads + 1, // the last for probes
		writes: cfg.writes(),
	}) // the last that may fail: its pools want to be closed
	if err != nil {
		return nil, err
	}
	s.database = db
	feed := cfg.Feed
	feed.RingLines = ringLines
	cfg.Limits.feed(&feed)
	feed.Problem = writeProblem
	s.access.guardFeed(&feed)
	feed.Logger = cfg.Logger
	feed.Delivered = s.metrics.delivered
	newGaugeFunc(s.metrics.registry, "agentexec_connections", "Open connections, of HTTP and of the feed.",
		func() float64 { return float64(s.connections.Load()) })
	newGaugeFunc(s.metrics.registry, "agentexec_held_bytes", "Bytes of bodies and answers of the HTTP API that are in memory.",
		func() float64 { return float64(s.memory.Held()) })
	newGaugeFunc(s.metrics.registry, "agentexec_tls_expires_seconds", "When the TLS certificate in use expires, in Unix time; 0 without TLS.",
		s.certificate.expires)
	feed.Limited = s.metrics.limits.note
	s.hub = wsfeed.New(newSource(db.reads, cfg.Schema), feed)
	s.metrics.feed(s.hub.Stats)
	s.tail = newTail(tailConfig{
		hub: s.hub, schema: cfg.Schema, connect: db.connectTail, connectListener: db.connectListener, probe: db.reads,
		poll: cfg.PollInterval, pollOnly: cfg.PollOnly, log: cfg.Logger, metrics: s.metrics.registry,
	})
	s.readSlots, s.writeSlots = newSlots(cfg.reads()-cfg.Limits.CatchUpReads), newSlots(cfg.writes())
	s.probes = s.newProbes()
	s.routes = s.newRoutes()
	return s, nil
}

// Run serves until ctx ends, then lets everything drain and returns nil. A database that cannot be reached is waited
// for. It returns an error that says what to do where the address is taken, or the schema is missing, older or newer.
func (s *Server) Run(ctx context.Context) error {
	defer s.closePool()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", s.cfg.Addr, err)
	}
	web, served := s.newWeb(l)

	g, ctx := errgroup.WithContext(ctx)
	tailing, stopTailing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTailing()
	g.Go(func() error {
		if err := web.Serve(served); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error { return s.access.run(ctx) })
	g.Go(func() error {
		if err := s.awaitSchema(ctx); err != nil {
			return err
		}
		s.ready.Store(true)
		tails, _ := errgroup.WithContext(tailing)
		tails.Go(func() error {
			s.runProbes(tailing)
			return nil
		})
		tails.Go(func() error { return s.tail.run(tailing) })
		s.cfg.Logger.Info("serving", "url", s.baseURL(l.Addr()), "schema", s.cfg.Schema)
		if s.cfg.OnReady != nil {
			s.cfg.OnReady(s.baseURL(l.Addr()))
		}
		return tails.Wait()
	})
	if s.certificate != nil {
		g.Go(func() error {
			s.certificate.run(ctx, s.cfg.Reload)
			return nil
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		s.shutdown(web)
		stopTailing()
		return nil
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// shutdown, in this order: accept nothing new, tell every socket 1001 once it took what waits for it, let requests
// end. http.Server.Shutdown leaves upgraded sockets alone and waits for event streams, so the hub ends both
// meanwhile. The tail, the listener and the pool go last.
func (s *Server) shutdown(web *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := web.Shutdown(ctx); err != nil {
			_ = web.Close()
		}
	}()
	s.hub.Shutdown(ctx)
	<-done
}

// closePool closes the pools. Connections that have gone silent hold that up; it goes on in the background then.
func (s *Server) closePool() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.database.close()
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
		s.cfg.Logger.Warn("connections to Postgres did not end in time; leaving them")
	}
}

// awaitSchema returns when the schema is there in the version this program knows.
func (s *Server) awaitSchema(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		status, err := s.checkSchema(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && status.Usable():
			if status.State != migrate.Current {
				s.cfg.Logger.Warn("going on with other functions than this program's own: " + status.String())
			}
			for _, warning := range status.Warnings {
				s.cfg.Logger.Warn(warning)
			}
			return nil
		case err == nil:
			return errors.New(status.String())
		case isHopeless(err), errors.Is(err, migrate.ErrEncoding):
			return err
		case attempt == 0:
			s.cfg.Logger.Warn("Postgres cannot be reached; waiting for it", "error", err)
		}
		if err := backoff.Wait(ctx, reconnectDelay(attempt)); err != nil {
			return err
		}
	}
}

func (s *Server) checkSchema(ctx context.Context) (status migrate.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	err = s.database.check(ctx, func(conn *pgx.Conn) error {
		status, err = migrate.Check(ctx, conn, &migrate.Options{Schema: s.cfg.Schema})
		return err
	})
	return status, err
}

// baseURL is where a person on this machine finds the service.
func (s *Server) baseURL(addr net.Addr) string {
	scheme := "http"
	if s.certificate != nil {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
