package sidecar

import (
	"encoding/json"
	"log"
	"log/slog"
	"net/http"
	"net/http/pprof" // beside what we use it registers with the default mux, which is not served

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/agentexec/agentexec/ui"
)

// newRoutes is every address the sidecar answers.
func (s *Server) newRoutes() http.Handler {
	mux := http.NewServeMux()
	feed := s.hub.Handler()
	limits := s.cfg.Limits
	api := newAPI(apiConfig{
		schema: s.cfg.Schema, readDB: s.database.reads, writeDB: s.database.writes, access: s.access, log: s.cfg.Logger,
		note: s.metrics.limits.note, memory: s.memory, readSlots: s.readSlots, writeSlots: s.writeSlots,
		pageSize: limits.PageSize, bodyBytes: limits.BodyBytes, bodyTimeout: limits.BodyTimeout,
	})
	for pattern, h := range map[string]http.Handler{"GET /v1/feed": feed, "GET /v1/feed/{agent_id}": feed, "/v1/": api} {
		mux.Handle(pattern, s.access.shared(s.onceReady(h)))
	}
	mux.Handle(documentPath, api)
	mux.Handle("/healthz", readOnly(http.HandlerFunc(s.healthz)))
	mux.Handle("/readyz", readOnly(http.HandlerFunc(s.readyz)))
	mux.Handle("/metrics", readOnly(s.access.operators(promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))))
	if s.cfg.Pprof {
		mux.Handle("/debug/pprof/", s.access.owners(profiles()))
	}
	mux.Handle("/", ui.Handler())
	return safely(s.access.guardHost(mux, s.cfg.Insecure))
}

// profiles are Go's own, where net/http/pprof has them.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// readOnly answers 405 to anything but GET and HEAD, where the page's handler at / would say that nothing lives here.
func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeProblem(w, http.StatusMethodNotAllowed, codeMethodNotAllowed, "only GET is understood here")
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
			writeProblem(w, http.StatusServiceUnavailable, codeUnavailable, "the database cannot be reached yet")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// healthz says that the process lives. A page of an origin that is not allowed may load the answer without reading it:
// that is how the TypeScript client tells a refused origin from a server that is away.
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

// httpLog passes on what net/http has to say, such as a client's broken TLS handshake, at debug level.
func httpLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }
