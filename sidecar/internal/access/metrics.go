package access

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentexec/agentexec/internal/auth"
)

// The kinds of refusals of a request, or of a socket's renewal, beside those of package auth.
const (
	kindMissing     auth.Kind = "missing"     // there is no token
	kindTicket      auth.Kind = "ticket"      // used, too old, or of another server
	kindUnavailable auth.Kind = "unavailable" // the keys are not available: the token may be valid
)

// refusals counts refused tokens by kind.
type refusals struct{ counted *prometheus.CounterVec }

func newRefusals(registry prometheus.Registerer) *refusals {
	r := &refusals{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "agentexec_refused_tokens_total", Help: "Requests and renewals of sockets that were refused for their token, or for want of one.",
	}, []string{"reason"})}
	registry.MustRegister(r.counted)
	for _, kind := range append(auth.Kinds(), kindMissing, kindTicket, kindUnavailable) {
		r.counted.WithLabelValues(string(kind))
	}
	return r
}

// note counts one refusal.
func (r *refusals) note(reason error) {
	if r == nil {
		return
	}
	kind := kindUnavailable
	if refused := (*auth.Refused)(nil); errors.As(reason, &refused) {
		kind = refused.Kind
	}
	r.counted.WithLabelValues(string(kind)).Inc()
}
