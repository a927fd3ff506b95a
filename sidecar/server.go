package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/budget"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/database"
	"github.com/agentexec/agentexec/sidecar/internal/edge"
	"github.com/agentexec/agentexec/sidecar/internal/feedsource"
	"github.com/agentexec/agentexec/sidecar/internal/httpapi"
	"github.com/agentexec/agentexec/sidecar/internal/metric"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
	"github.com/agentexec/agentexec/sidecar/internal/tail"
	"github.com/agentexec/agentexec/wsfeed"
)

// Server is one sidecar.
type Server struct {
	cfg         Config
	database    *database.DB
	hub         *wsfeed.Hub
	tail        *tail.Tail
	sweeper     *sweeper
	storage     *storage
	metrics     *metrics
	memory      *budget.Budget // for bodies and answers of the API
	readSlots   httpapi.Slots
	writeSlots  httpapi.Slots
	probes      []*probe
	access      *access.Guard
	routes      http.Handler
	connections atomic.Int64      // open
	certificate *edge.Certificate // nil without TLS
	ready       atomic.Bool       // the schema was found; the API answers 503 before
	stopping    chan struct{}     // closed when Run begins to end
	stop        func()            // closes it
}

const (
	shutdownTimeout = 10 * time.Second
	closeTimeout    = 2 * time.Second
)

// New checks a configuration and returns a sidecar. It does not connect yet.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, metrics: newMetrics(cfg.Limits), memory: budget.New(int64(cfg.Limits.HeldBytes))}
	s.access, err = access.New(access.Config{
		Auth: cfg.Auth.config(cfg.Logger), AllowOrigins: cfg.AllowOrigins, AllowLocalOrigins: cfg.AllowLocalOrigins,
		TrustedProxies: cfg.TrustedProxies, ProxyHeader: cfg.ProxyHeader, RequestsPerSecond: cfg.Limits.RequestsPerSecond,
		Metrics: s.metrics.registry, Note: s.metrics.limits.note, Log: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	if cfg.TLSCert != "" && !cfg.NoListener {
		if s.certificate, err = edge.LoadCertificate(cfg.TLSCert, cfg.TLSKey, cfg.Logger); err != nil {
			return nil, err
		}
	}
	db, err := database.Open(database.Config{
		URL: cfg.DatabaseURL, ListenURL: cfg.ListenURL,
		Reads:  max(1, cfg.reads()-cfg.Limits.CatchUpReads) + cfg.Limits.CatchUpReads + 2, // one for probes, one for sweeps, reads of the stale activities and of the storage
		Writes: cfg.writes(),
	}) // the last step that may fail, because its pools must be closed
	if err != nil {
		return nil, err
	}
	s.database = db
	feed := cfg.Feed
	feed.RingLines = tail.RingLines
	cfg.Limits.feed(&feed)
	feed.Problem = problem.Write
	s.access.ConfigureFeed(&feed)
	feed.Logger = cfg.Logger
	feed.Delivered = s.metrics.delivered
	feed.Now = func() time.Time { return s.tail.Now() }
	metric.GaugeFunc(s.metrics.registry, "agentexec_connections", "Open connections, of HTTP and of the feed.",
		func() float64 { return float64(s.connections.Load()) })
	metric.GaugeFunc(s.metrics.registry, "agentexec_held_bytes", "Bytes of bodies and answers of the HTTP API that are in memory.",
		func() float64 { return float64(s.memory.Held()) })
	metric.GaugeFunc(s.metrics.registry, "agentexec_tls_expires_seconds", "When the TLS certificate in use expires, in Unix time; 0 without TLS.",
		s.certificate.Expires)
	feed.Limited = s.metrics.limits.note
	s.hub = wsfeed.New(feedsource.New(db.Reads, cfg.Schema), feed)
	s.metrics.feed(s.hub.Stats)
	s.tail = tail.New(tail.Config{
		Hub: s.hub, Schema: cfg.Schema, Connect: db.ConnectTail, ConnectListener: db.ConnectListener, Pool: db.Reads,
		Poll: cfg.PollInterval, PollOnly: cfg.PollOnly, Log: cfg.Logger, Metrics: s.metrics.registry,
	})
	s.stopping = make(chan struct{})
	s.stop = sync.OnceFunc(func() { close(s.stopping) })
	s.storage = newStorage(db.Reads, cfg.Schema, s.ready.Load, s.metrics.registry)
	s.sweeper = newSweeper(db.Reads, cfg.Schema, cfg.Logger, s.metrics.registry)
	s.readSlots, s.writeSlots = httpapi.NewSlots(cfg.reads()-cfg.Limits.CatchUpReads), httpapi.NewSlots(cfg.writes())
	s.probes = s.newProbes()
	s.routes = s.newRoutes()
	return s, nil
}

// Handler returns the whole service: the feed, the HTTP API, health, metrics and the dashboard. Run must run beside it: before
// the schema is found, and after Run has ended, the API and the feed answer 503. A program that serves it shuts down its own
// HTTP server.
//
// To mount it under a prefix, wrap it in http.StripPrefix. Without Config.Auth, every client that reaches the program's server has every right; a request for a
// name other than localhost is answered 403 unless Config.AllowOrigins names it.
func (s *Server) Handler() http.Handler { return s.routes }

// Listener returns l with the properties of the service's own listener: the limit of open connections, and write deadlines
// that a slow client of the feed does not exceed. A program that serves Handler should serve it on such a listener, TLS on
// top.
func (s *Server) Listener(l net.Listener) net.Listener {
	return s.hub.Listener(edge.NewListener(l, &s.connections, s.cfg.Limits.Connections, false, s.metrics.limits.note))
}

// Run serves until ctx ends, then drains and returns nil. It waits for a database that cannot be reached. Where the address is
// taken, or the schema is missing, older or newer, it returns an error that says what to do.
func (s *Server) Run(ctx context.Context) error {
	defer s.closePool()
	g, ctx := errgroup.WithContext(ctx)
	tailing, stopTailing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTailing()
	web, url, err := s.listen(ctx, g)
	if err != nil {
		return err
	}
	g.Go(func() error { return s.access.Run(ctx) })
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
		tails.Go(func() error { return s.tail.Run(tailing) })
		tails.Go(func() error {
			s.sweeper.run(tailing)
			return nil
		})
		tails.Go(func() error {
			s.storage.warn(tailing, s.cfg.Logger)
			return nil
		})
		s.cfg.Logger.Info("serving", "url", url, "schema", s.cfg.Schema)
		if s.cfg.OnReady != nil {
			s.cfg.OnReady(url)
		}
		return tails.Wait()
	})
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

// listen serves the service at Addr, and returns the HTTP server and the URL; nil and "" with NoListener.
func (s *Server) listen(ctx context.Context, g *errgroup.Group) (*http.Server, string, error) {
	if s.cfg.NoListener {
		return nil, "", nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return nil, "", fmt.Errorf("cannot listen on %s: %w", s.cfg.Addr, err)
	}
	web, served := s.newWeb(l)
	g.Go(func() error {
		if err := web.Serve(served); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	if s.certificate != nil {
		g.Go(func() error {
			s.certificate.Run(ctx, s.cfg.Reload)
			return nil
		})
	}
	return web, s.baseURL(l.Addr()), nil
}

// shutdown ends the service in this order: it answers 503 to new requests of the API and the feed, accepts no new connections,
// closes every socket with 1001 after its pending frames, and lets requests end. http.Server.Shutdown ignores upgraded sockets
// and waits for event streams, so the hub ends both meanwhile. The tail, the listener and the pool end last.
func (s *Server) shutdown(web *http.Server) {
	s.ready.Store(false)
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	var closing sync.WaitGroup
	if web != nil {
		closing.Go(func() {
			if err := web.Shutdown(ctx); err != nil {
				_ = web.Close()
			}
		})
	}
	s.hub.Shutdown(ctx)
	closing.Wait()
}

// closePool closes the pools. Connections that do not respond delay it; it then continues in the background.
func (s *Server) closePool() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.database.Close()
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
		s.cfg.Logger.Warn("connections to Postgres did not end in time; leaving them")
	}
}

// awaitSchema returns once the schema exists in the version this program knows.
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
		case database.IsHopeless(err), errors.Is(err, migrate.ErrEncoding):
			return err
		case attempt == 0:
			s.cfg.Logger.Warn("Postgres cannot be reached; waiting for it", "error", err)
		}
		if err := backoff.Wait(ctx, database.ReconnectDelay(attempt)); err != nil {
			return err
		}
	}
}

func (s *Server) checkSchema(ctx context.Context) (status migrate.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, database.ConnectTimeout)
	defer cancel()
	err = s.database.Check(ctx, func(conn *pgx.Conn) error {
		status, err = migrate.Check(ctx, conn, &migrate.Options{Schema: s.cfg.Schema})
		return err
	})
	return status, err
}

// baseURL returns the URL of the service for a user on this machine, with the base path.
func (s *Server) baseURL(addr net.Addr) string {
	scheme := "http"
	if s.certificate != nil {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + s.cfg.BasePath
}
