package input

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// Fault is an error in one part of a request. The status of the answer is 400 where one is malformed, else 422.
type Fault struct {
	Malformed bool
	Location  string // body, body.FIELD, query, query.PARAMETER, path.PARAMETER, or "" for a body that is missing
	Message   string
}

// Problem returns a problem that lists the faults of a request.
func Problem(faults ...Fault) *problem.Problem {
	status, parts, details := http.StatusUnprocessableEntity, []problem.Part(nil), []string(nil)
	for _, f := range faults {
		if f.Malformed {
			status = http.StatusBadRequest
		}
		if f.Location == "" {
			details = append(details, f.Message)
			continue
		}
		parts = append(parts, problem.Part{Location: f.Location, Message: f.Message})
		name := f.Location[strings.IndexByte(f.Location, '.')+1:]
		details = append(details, cmp.Or(name, f.Location)+": "+f.Message)
	}
	p := problem.New(status, "", strings.Join(details, "; "))
	p.Errors = parts
	return p
}
