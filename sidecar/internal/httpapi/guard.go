package httpapi

import (
	"errors"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// guard wraps the routes in the checks that every request passes.
func (a *api) guard(mux *http.ServeMux) http.Handler {
	free := routed(mux)
	guarded := a.Access.Protected(a.Access.RequireToken(free))
	return a.recovered(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == DocumentPath {
			free.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	}))
}

// recovered answers a panic with a problem, and logs it.
func (a *api) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &startedWriter{ResponseWriter: w}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v) // net/http's own way to abort
			}
			a.Log.ErrorContext(r.Context(), "a handler of the API panicked",
				"method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
			if out.started {
				panic(http.ErrAbortHandler) // a partial answer must not look complete
			}
			problem.Internal().Write(w)
		}()
		out.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(out, r)
	})
}

// startedWriter knows whether an answer has begun.
type startedWriter struct {
	http.ResponseWriter
	started bool
}

// WriteHeader implements http.ResponseWriter.
func (w *startedWriter) WriteHeader(status int) {
	w.started = true
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *startedWriter) Write(p []byte) (int, error) {
	w.started = true
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *startedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// routed serves the routes of mux. Where mux has none it answers with a problem, in place of the plain text of mux.
func routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			if _, pattern := mux.Handler(&http.Request{Method: method, Host: r.Host, URL: r.URL}); pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			problem.Write(w, http.StatusNotFound, "", "nothing lives at "+r.URL.Path)
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		problem.Write(w, http.StatusMethodNotAllowed, "", r.Method+" is not for "+r.URL.Path+"; allowed: "+w.Header().Get("Allow"))
	})
}
