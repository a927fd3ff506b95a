package access

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// Guard authenticates requests and returns the caller's grant. SQL applies the scope of that grant (client.WithScope).
type Guard struct {
	verifier    *auth.Verifier // nil: authentication is off, and every caller has every right
	origins     *origins
	tickets     tickets
	rateLimiter *rateLimiter // nil where requests are not limited
	refusals    *refusals    // nil where nothing is counted
	behind      *addresses   // nil only in tests
	log         *slog.Logger
	refusalLog  *rate.Limiter // limits how often a refused request is logged
}

// Config configures a Guard. Metrics, Note and Log are required.
type Config struct {
	Auth         auth.Config // off where it names no key
	AllowOrigins []string
	// AllowLocalOrigins allows pages of localhost, on any port.
	AllowLocalOrigins bool
	TrustedProxies    []string
	ProxyHeader       string // default X-Forwarded-For
	// RequestsPerSecond bounds each subject and address; negative for no limit.
	RequestsPerSecond int
	Metrics           prometheus.Registerer
	Note              func(limit string) // counts rejections by the limit's name
	Log               *slog.Logger
}

// New checks a configuration and returns its Guard.
func New(c Config) (*Guard, error) {
	allowed, err := readOrigins(c.AllowOrigins, c.Auth.Enabled())
	if err != nil {
		return nil, err
	}
	allowed.local, allowed.refusals = c.AllowLocalOrigins, newOriginRefusals(c.Log)
	var verifier *auth.Verifier
	if c.Auth.Enabled() {
		if verifier, err = auth.New(c.Auth); err != nil {
			return nil, err
		}
	}
	a := With(verifier, allowed, c.Log)
	if a.behind, err = newAddresses(c.TrustedProxies, c.ProxyHeader); err != nil {
		return nil, err
	}
	a.refusals = newRefusals(c.Metrics)
	a.rateLimiter = newRateLimiter(c.RequestsPerSecond, a.behind, c.Note)
	return a, nil
}

// Protected rejects requests that a page of a foreign origin makes a browser send; see origins.protected.
func (a *Guard) Protected(next http.Handler) http.Handler { return a.origins.protected(next) }

// Shared lets pages of allowed origins read the answers (CORS); see origins.shared.
func (a *Guard) Shared(next http.Handler) http.Handler { return a.origins.shared(next) }

// GuardHost rejects requests for a host that is not this machine's, where authentication is off; see origins.guardHost.
func (a *Guard) GuardHost(next http.Handler, anyAddress bool) http.Handler {
	if a.Enabled() {
		return next
	}
	return a.origins.guardHost(next, anyAddress)
}

// MakeTicket returns a ticket for a grant, valid for TicketLife; "" where there are too many tickets.
func (a *Guard) MakeTicket(g auth.Grant) string { return a.tickets.make(g, time.Now()) }

// Run fetches the keys of a JWKS URL until ctx ends. It returns at once where there is none.
func (a *Guard) Run(ctx context.Context) error {
	if a.verifier == nil {
		return nil
	}
	return a.verifier.Run(ctx)
}

// With returns a Guard without limits. A nil verifier turns authentication off; nil origins allow none beside the
// service's own.
func With(verifier *auth.Verifier, o *origins, log *slog.Logger) *Guard {
	if o == nil {
		o = &origins{}
	}
	return &Guard{verifier: verifier, origins: o, log: log, refusalLog: rate.NewLimiter(5, 20)}
}

// grantKey is the context key of a request's grant.
type grantKey struct{}

// GrantOf returns the caller's grant: the zero grant where the request was not authenticated.
func GrantOf(ctx context.Context) auth.Grant {
	g, _ := ctx.Value(grantKey{}).(auth.Grant)
	return g
}

// RequireToken rejects requests without a valid token with 401, and puts the grant into the context of the others.
func (a *Guard) RequireToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g, err := a.check(r, bearer(r))
		if err != nil {
			problem.Refuse(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), grantKey{}, g)))
	})
}

// check returns the grant of a request with this token, or a problem. A request counts for the subject of its token. Without a
// known token it counts for its address, before the token is verified: verification is the most expensive step here.
func (a *Guard) check(r *http.Request, token string) (auth.Grant, error) {
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

// refused turns the reason of a refusal into a problem, counts it and logs it. The reason holds no part of the token.
func (a *Guard) refused(r *http.Request, reason error) *problem.Problem {
	a.refusals.note(reason)
	p := problem.New(http.StatusUnauthorized, "", reason.Error())
	if errors.Is(reason, auth.ErrUnavailable) || r.Context().Err() != nil {
		p = problem.New(http.StatusServiceUnavailable, "", auth.ErrUnavailable.Error())
	}
	if a.refusalLog.Allow() {
		a.log.Info("refused a request", "reason", p.Detail, "remote", a.Remote(r), "path", problem.Clipped(r.URL.Path))
	}
	return p
}

// Remote returns where a request comes from, for the log: the connection's address, or the client's behind a trusted proxy.
func (a *Guard) Remote(r *http.Request) string {
	if a.FromTrustedProxy(r) {
		return a.behind.client(r).String()
	}
	return r.RemoteAddr
}

// FromTrustedProxy reports whether a request comes from a trusted proxy, whose headers are believed.
func (a *Guard) FromTrustedProxy(r *http.Request) bool {
	return a.behind != nil && a.behind.trustsPeer(r)
}

// Enabled reports whether requests need a token.
func (a *Guard) Enabled() bool { return a.verifier != nil }

// Holder returns the subject, or else the address, to which the memory of a request is charged; "" for none.
func (a *Guard) Holder(r *http.Request) string {
	if subject := GrantOf(r.Context()).Subject; subject != "" {
		return "subject " + subject
	}
	if a.behind != nil {
		if address := a.behind.counted(r); address != "" {
			return "address " + address
		}
	}
	return ""
}

// bearer returns the token of the header Authorization, "" without one.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// Verb is a right that a token must grant for an operation.
type Verb string

// The verbs that a token may grant.
const (
	VerbRead   Verb = "read"
	VerbWrite  Verb = "write"
	VerbCancel Verb = "cancel"
	VerbAnswer Verb = "answer"
)

// Denied returns the problem of a verb that was not granted, nil where it was.
func Denied(g auth.Grant, v Verb) *problem.Problem {
	if granted := map[Verb]bool{VerbRead: g.Read, VerbWrite: g.Write, VerbCancel: g.Cancel, VerbAnswer: g.Answer}[v]; granted {
		return nil
	}
	return NotGranted(string(v))
}

// NotGranted returns the problem of a right that the token does not grant.
func NotGranted(what string) *problem.Problem {
	return problem.New(http.StatusForbidden, "", "the token does not grant "+what)
}

// Operators rejects callers that may not read everything, for pages that show all activities at once.
func (a *Guard) Operators(next http.Handler) http.Handler {
	return a.only(next, "read of everything", func(g auth.Grant) bool { return g.Read && g.Scope.IsZero() })
}

// Owners rejects callers that lack any right.
func (a *Guard) Owners(next http.Handler) http.Handler {
	return a.only(next, "everything", auth.Grant.IsEverything)
}

func (a *Guard) only(next http.Handler, what string, may func(auth.Grant) bool) http.Handler {
	return a.RequireToken(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !may(GrantOf(r.Context())) {
			NotGranted(what).Write(w)
			return
		}
		next.ServeHTTP(w, r)
	}))
}
