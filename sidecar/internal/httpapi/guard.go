package httpapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// maxDrained is how much more of a body that is too large is read and thrown away: a client that sends before it reads
// would otherwise see its connection break in place of the answer.
const maxDrained = 8 << 20

// guard puts around the routes what every request passes.
func (a *api) guard(mux *http.ServeMux) http.Handler {
	guarded := a.recovered(a.Access.Protected(a.Access.RequireToken(a.holding(a.audited(a.routed(mux))))))
	free := a.recovered(a.routed(mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == DocumentPath {
			free.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// DocumentPath serves the description of the API, without a token.
const DocumentPath = "/openapi.json"

// recovered answers a panic with a problem, and logs it.
func (a *api) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := &startedWriter{ResponseWriter: w}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v) // net/http's own way to break off
			}
			a.Log.ErrorContext(r.Context(), "a handler of the API panicked",
				"method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
			if started.started {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
			problem.Internal().Write(w)
		}()
		started.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(started, r)
	})
}

// startedWriter knows whether the answer has begun, and with what status.
type startedWriter struct {
	http.ResponseWriter
	started bool
	status  int
}

// WriteHeader implements http.ResponseWriter.
func (w *startedWriter) WriteHeader(status int) {
	if !w.started {
		w.started, w.status = true, status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *startedWriter) Write(p []byte) (int, error) {
	if !w.started {
		w.started, w.status = true, http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *startedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// routed serves the routes of mux; where there is none it answers with a problem in place of mux's plain text.
func (a *api) routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		if pattern == "" {
			handler.ServeHTTP(&noRouteWriter{ResponseWriter: w, r: r}, r)
			return
		}
		r.Pattern = pattern // as mux will set it; the audit asks, also for what does not come so far
		if takes, ok := a.verbs[pattern]; ok {
			if p := access.Denied(access.GrantOf(r.Context()), takes); p != nil {
				p.Write(w)
				return
			}
		}
		if r.Method == http.MethodPost && !a.readBody(w, r) {
			return
		}
		// We answer JSON whatever is asked for. huma looks at the header all the same, and panics at some (",;").
		r.Header.Del("Accept")
		mux.ServeHTTP(w, r)
	})
}

// noRouteWriter turns the 404 and 405 of http.ServeMux into problems; 405 keeps its Allow.
type noRouteWriter struct {
	http.ResponseWriter
	r    *http.Request
	done bool
}

// WriteHeader implements http.ResponseWriter.
func (w *noRouteWriter) WriteHeader(status int) {
	switch status {
	case http.StatusNotFound:
		w.done = true
		problem.Write(w.ResponseWriter, status, "", "nothing lives at "+w.r.URL.Path)
	case http.StatusMethodNotAllowed:
		w.done = true
		problem.Write(w.ResponseWriter, status, "", w.r.Method+" is not for "+w.r.URL.Path+"; allowed: "+w.Header().Get("Allow"))
	default: // a redirect to a cleaner path
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (w *noRouteWriter) Write(p []byte) (int, error) {
	if w.done {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// readBody reads the body whole and puts it back, or answers with a problem and reports false.
//
// The deadline of a whole body is lifted again afterwards: left alone, it would also end the wait for the database.
func (a *api) readBody(w http.ResponseWriter, r *http.Request) bool {
	maxBody := a.BodyBytes // a message of 1 MiB fits into the usual 2, whatever of it JSON escapes within reason
	if !a.reserveBody(w, r) {
		return false
	}
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(a.BodyTimeout))
	data, err := io.ReadAll(io.LimitReader(r.Body, int64(maxBody)+1))
	if len(data) > maxBody {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
	}
	if err == nil && len(data) <= maxBody { // or net/http waits for the rest, however slowly it comes
		_ = connection.SetReadDeadline(time.Time{})
	}

	network := net.Error(nil)
	switch {
	case len(data) > maxBody:
		a.Note(LimitBodyBytes)
		w.Header().Set("Connection", "close")
		problem.Write(w, http.StatusRequestEntityTooLarge, "", "the body must be at most "+strconv.Itoa(maxBody)+" bytes")
	case errors.As(err, &network) && network.Timeout():
		a.Note(LimitBodyTimeout)
		w.Header().Set("Connection", "close")
		problem.Write(w, http.StatusRequestTimeout, "", "the body did not come in time")
	case err != nil:
		w.Header().Set("Connection", "close")
		problem.Write(w, http.StatusBadRequest, "", "the body broke off")
	case len(bytes.TrimSpace(data)) > 0 && !isJSON(r.Header.Get("Content-Type")):
		w.Header().Set("Accept", "application/json")
		problem.Write(w, http.StatusUnsupportedMediaType, "", "the body must be application/json, got "+shortened(r.Header.Get("Content-Type")))
	default:
		r.Body = io.NopCloser(bytes.NewReader(bytes.TrimSpace(data)))
		r.Header.Set("Content-Type", "application/json")
		return true
	}
	return false
}

// isJSON reports whether a content type is JSON in UTF-8; nothing at all is taken for it.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	media, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	return err == nil && media == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// smallBody is the size up to which bodies are not counted as held.
const smallBody = 64 << 10

// reserveBody waits for memory for the body, or answers with a problem and reports false.
func (a *api) reserveBody(w http.ResponseWriter, r *http.Request) bool {
	bytes := r.ContentLength
	if bytes < 0 || bytes > int64(a.BodyBytes) {
		bytes = int64(a.BodyBytes)
	}
	h := heldOf(r.Context())
	if bytes <= smallBody || h == nil {
		return true
	}
	share, err := a.reserve(r.Context(), h, bytes)
	if err != nil {
		w.Header().Set("Connection", "close")
		problem.Refuse(w, err)
		return false
	}
	h.body = share
	return true
}
