package sidecar

import (
	"encoding/json"
	"log"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/agentexec/agentexec/sidecar/internal/edge"
	"github.com/agentexec/agentexec/sidecar/internal/httpapi"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
	"github.com/agentexec/agentexec/ui"
)

// newRoutes returns the handler of every path that the sidecar answers.
func (s *Server) newRoutes() http.Handler {
	mux := http.NewServeMux()
	feed := s.hub.Handler()
	limits := s.cfg.Limits
	api := httpapi.New(httpapi.Config{
		Schema: s.cfg.Schema, ReadDB: s.database.Reads, WriteDB: s.database.Writes, Access: s.access, Log: s.cfg.Logger,
		Note: s.metrics.limits.note, Memory: s.memory, ReadSlots: s.readSlots, WriteSlots: s.writeSlots,
		PageSize: limits.PageSize, BodyBytes: limits.BodyBytes, BodyTimeout: limits.BodyTimeout,
		Stopping: s.stopping,
	})
	for pattern, h := range map[string]http.Handler{"GET /v1/feed": feed, "GET /v1/feed/{agent_id}": feed, "/v1": api, "/v1/": api} {
		mux.Handle(pattern, s.access.Shared(s.onceReady(h)))
	}
	mux.Handle(httpapi.DocumentPath, api)
	mux.Handle("/healthz", readOnly(http.HandlerFunc(s.healthz)))
	mux.Handle("/readyz", readOnly(http.HandlerFunc(s.readyz)))
	mux.Handle("/metrics", readOnly(s.access.Operators(promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))))
	if s.cfg.Pprof {
		mux.Handle(profilesPath, s.access.Owners(profiles()))
	}
	mux.Handle("/", ui.Handler())
	mounted := edge.Mount(s.cfg.BasePath, s.access.FromTrustedProxy, mux)
	return edge.SafeHeaders(s.access.GuardHost(mounted, s.cfg.Insecure))
}

// readOnly answers 405 to methods other than GET and HEAD, where the page's handler at / would report an unknown path.
func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			problem.Write(w, http.StatusMethodNotAllowed, problem.CodeMethodNotAllowed, "only GET is understood here")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// onceReady answers 503 until the schema has been found.
func (s *Server) onceReady(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.ready.Load() {
			w.Header().Set("Retry-After", "1")
			problem.Write(w, http.StatusServiceUnavailable, problem.CodeUnavailable, "the database cannot be reached yet")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// healthz reports that the process runs. A page of an origin that is not allowed may load the answer without reading it: the
// TypeScript client uses this to tell a refused origin from an unreachable server.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	answer(w, http.StatusOK, map[string]any{"status": "ok"})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// httpLog logs the messages of net/http, such as a client's broken TLS handshake, at debug level.
func httpLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }
