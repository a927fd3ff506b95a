package sidecar

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentexec/agentexec/internal/auth"
)

// access authenticates requests and returns the caller's grant. SQL applies the scope of that grant (client.WithScope).
type access struct {
	verifier    *auth.Verifier // nil: authentication is off, and every caller has every right
	origins     *origins
	tickets     tickets
	rateLimiter *rateLimiter // nil where requests are not limited
	refusals    *refusals    // nil where nothing is counted
	behind      *addresses   // nil where there is no proxy to look behind
	log         *slog.Logger
	refusalLog  *rate.Limiter // limits how often a refused request is logged
}

// accessConfig is what decides about requests. The zero value lets every request through.
type accessConfig struct {
	auth         auth.Config // off where it names no key
	allowOrigins []string
	// allowLocalOrigins lets pages of localhost in, whatever the port.
	allowLocalOrigins bool
	trustedProxies    []string
	proxyHeader       string // default X-Forwarded-For
	// requestsPerSecond bounds each subject and address; negative for no limit.
	requestsPerSecond int
	metrics           prometheus.Registerer
	note              func(limit string) // counts what is refused because of a limit
	log               *slog.Logger
}

// openAccess checks a configuration and makes an access of it.
func openAccess(c accessConfig) (*access, error) {
	allowed, err := readOrigins(c.allowOrigins, c.auth.Enabled())
	if err != nil {
		return nil, err
	}
	allowed.local, allowed.refusals = c.allowLocalOrigins, newOriginRefusals(c.log)
	var verifier *auth.Verifier
	if c.auth.Enabled() {
		if verifier, err = auth.New(c.auth); err != nil {
			return nil, err
		}
	}
	a := newAccess(verifier, allowed, c.log)
	if a.behind, err = newAddresses(c.trustedProxies, c.proxyHeader); err != nil {
		return nil, err
	}
	a.refusals = newRefusals(c.metrics)
	a.rateLimiter = newRateLimiter(c.requestsPerSecond, a.behind, c.note)
	return a, nil
}

// protected refuses what a page of a foreign origin has a browser send; see origins.protected.
func (a *access) protected(next http.Handler) http.Handler { return a.origins.protected(next) }

// shared lets pages of allowed origins read the answers (CORS); see origins.shared.
func (a *access) shared(next http.Handler) http.Handler { return a.origins.shared(next) }

// guardHost refuses requests for a host that is not this machine's, where authentication is off; see origins.guardHost.
func (a *access) guardHost(next http.Handler, anyAddress bool) http.Handler {
	if a.enabled() {
		return next
	}
	return a.origins.guardHost(next, anyAddress)
}

// makeTicket returns a ticket for what a grant allows, good for ticketLife; "" where there are too many.
func (a *access) makeTicket(g auth.Grant) string { return a.tickets.make(g, time.Now()) }

// run fetches the keys of a JWKS URL until ctx ends. It returns at once where there is none.
func (a *access) run(ctx context.Context) error {
	if a.verifier == nil {
		return nil
	}
	return a.verifier.Run(ctx)
}

// newAccess returns an access without limits. A nil verifier turns authentication off; nil origins allow none beside the
// service's own.
func newAccess(verifier *auth.Verifier, o *origins, log *slog.Logger) *access {
	if o == nil {
		o = &origins{}
	}
	return &access{verifier: verifier, origins: o, log: log, refusalLog: rate.NewLimiter(5, 20)}
}

// grantKey is where a request's context has its grant.
type grantKey struct{}

// grantOf returns the caller's grant: the zero grant where the request was not authenticated.
func grantOf(ctx context.Context) auth.Grant {
	g, _ := ctx.Value(grantKey{}).(auth.Grant)
	return g
}

// requireToken rejects requests without a valid token with 401, and puts the grant into the context of the others.
func (a *access) requireToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g, err := a.check(r, bearer(r))
		if err != nil {
			refuse(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), grantKey{}, g)))
	})
}

// check returns what a request with this token may, or a problem. A request counts for the subject of its token. One
// without a token that is known counts for its address, before the token is verified: that is dearer than all else here.
func (a *access) check(r *http.Request, token string) (auth.Grant, error) {
	known, isKnown := auth.Everything(), false
	if a.verifier != nil {
		known, isKnown = a.verifier.Known(token)
	}
	if over := a.rateLimiter.over(r, known.Subject); over != nil {
		return auth.Grant{}, over
	}
	switch {
	case isKnown || a.verifier == nil:
		return known, nil
	case token == "":
		return auth.Grant{}, a.refused(r, &auth.Refused{Kind: kindMissing, Reason: "a token is needed: Authorization: Bearer"})
	}
	g, err := a.verifier.Verify(r.Context(), token)
	if err != nil {
		return auth.Grant{}, a.refused(r, err)
	}
	if over := a.rateLimiter.overOf(g.Subject, ""); over != nil {
		return auth.Grant{}, over
	}
	return g, nil
}

// refused makes a problem of why a request was refused, counts it and logs it; the reason holds nothing of the token.
func (a *access) refused(r *http.Request, reason error) *problem {
	a.refusals.note(reason)
	p := newProblem(http.StatusUnauthorized, "", reason.Error())
	if errors.Is(reason, auth.ErrUnavailable) || r.Context().Err() != nil {
		p = newProblem(http.StatusServiceUnavailable, "", auth.ErrUnavailable.Error())
	}
	if a.refusalLog.Allow() {
		a.log.Info("refused a request", "reason", p.Detail, "remote", a.remote(r), "path", clipped(r.URL.Path))
	}
	return p
}

// remote is where a request comes from, for the log: the connection, or who is behind a trusted proxy.
func (a *access) remote(r *http.Request) string {
	if a.behind != nil {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && a.behind.trusts(peer.Addr()) {
			return a.behind.client(r).String()
		}
	}
	return r.RemoteAddr
}

// enabled reports whether requests need a token.
func (a *access) enabled() bool { return a.verifier != nil }

// holder returns the subject, or else the address, that the memory of a request counts for; "" for none.
func (a *access) holder(r *http.Request) string {
	if subject := grantOf(r.Context()).Subject; subject != "" {
		return "subject " + subject
	}
	if a.behind != nil {
		if address := a.behind.counted(r); address != "" {
			return "address " + address
		}
	}
	return ""
}

// bearer is the token of the header Authorization, "" without one.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// verb is what a token must grant for an operation.
type verb string

const (
	verbRead   verb = "read"
	verbWrite  verb = "write"
	verbCancel verb = "cancel"
)

// denied is the problem of a verb that was not granted, nil where it was.
func denied(g auth.Grant, v verb) *problem {
	if (v == verbRead && g.Read) || (v == verbWrite && g.Write) || (v == verbCancel && g.Cancel) {
		return nil
	}
	return notGranted(string(v))
}

func notGranted(what string) *problem {
	return newProblem(http.StatusForbidden, "", "the token does not grant "+what)
}

// operators rejects callers that may not read everything, for pages that show all activities at once.
func (a *access) operators(next http.Handler) http.Handler {
	return a.only(next, "read of everything", func(g auth.Grant) bool { return g.Read && g.Scope.IsZero() })
}

// owners rejects callers that lack any right.
func (a *access) owners(next http.Handler) http.Handler {
	return a.only(next, "everything", auth.Grant.IsEverything)
}

func (a *access) only(next http.Handler, what string, may func(auth.Grant) bool) http.Handler {
	return a.requireToken(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !may(grantOf(r.Context())) {
			notGranted(what).write(w)
			return
		}
		next.ServeHTTP(w, r)
	}))
}
