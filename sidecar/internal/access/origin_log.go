package access

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

const (
	// maxRefusedOrigins is how many refused origins and hosts are remembered. A forgotten one may be logged again.
	maxRefusedOrigins = 256
	// refusedOriginAgain is the time after which the same one is logged again.
	refusedOriginAgain = time.Hour
)

// originRefusals logs each refused origin, and each refused host, once an hour: a page that may not connect retries all the
// time, because it does not learn the reason. The number of different ones is bounded as well, since a client can send any.
type originRefusals struct {
	log  *slog.Logger
	rate *rate.Limiter

	mu     sync.Mutex
	logged *simplelru.LRU[string, time.Time]
}

func newOriginRefusals(log *slog.Logger) *originRefusals {
	logged, err := simplelru.NewLRU[string, time.Time](maxRefusedOrigins, nil)
	if err != nil {
		panic("sidecar: " + err.Error()) // the size is positive
	}
	return &originRefusals{log: log, rate: rate.NewLimiter(1, 20), logged: logged}
}

// origin notes a request from a page of an origin that is not allowed.
func (l *originRefusals) origin(r *http.Request) {
	origin := nameOf(r.Header.Get("Origin"))
	if origin == "null" {
		l.once("origin null", "refused a page without an origin (a file, or a frame in a sandbox): serve it from a web server",
			"origin", origin, "path", problem.Clipped(r.URL.Path))
		return
	}
	l.once("origin "+origin, "refused a page of another origin; to let it in, start with --allow-origin and this origin, "+
		"or set AGENTEXEC_ALLOW_ORIGIN", "origin", origin, "path", problem.Clipped(r.URL.Path))
}

// host notes a request for a host that is not answered.
func (l *originRefusals) host(r *http.Request) {
	host := nameOf(r.Host)
	l.once("host "+host, "refused a request for a name that may be a foreign page's; to answer it, start with --allow-origin http://NAME "+
		"(or https://NAME), or turn authentication on", "host", host, "path", problem.Clipped(r.URL.Path))
}

// nameOf shortens an origin or a host for the log. Operators copy a whole origin, and none has more bytes than this.
func nameOf(text string) string { return strings.ToValidUTF8(text[:min(len(text), 300)], "") }

func (l *originRefusals) once(what, message string, args ...any) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.logged.Get(what); ok && time.Since(at) < refusedOriginAgain || !l.rate.Allow() {
		return
	}
	l.logged.Add(what, time.Now())
	l.log.Warn(message, args...)
}
