package httpapi

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// audited logs every write that a caller requests: the caller, the operation, the activity and the result.
func (a *api) audited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		out := &startedWriter{ResponseWriter: w}
		defer func() { a.audit(r, out) }()
		next.ServeHTTP(out, r)
	})
}

// audit is called when the request was answered, or has panicked.
func (a *api) audit(r *http.Request, out *startedWriter) {
	_, what, known := strings.Cut(r.Pattern, " ")
	if !known || what == ticketsPath {
		return // not a write
	}
	id := r.PathValue("agent_id")
	if location := out.Header().Get("Location"); location != "" {
		id = location[strings.LastIndexByte(location, '/')+1:]
	}
	status := cmp.Or(out.status, http.StatusInternalServerError)
	who := "anonymous"
	if a.Access.Enabled() {
		who = access.GrantOf(r.Context()).Subject
	}
	a.Log.Info("audit", "who", who, "remote", a.Access.Remote(r), "what", what, "activity", problem.Clipped(id), "status", status)
}
