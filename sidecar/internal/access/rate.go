package access

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// maxLimiters is how many subjects and addresses have a limiter in memory, about 4 MB. The least recently used one is dropped,
// and starts anew.
const maxLimiters = 16_384

// LimitRequests is the name of the limit that a rateLimiter notes.
const LimitRequests = "requests_per_second"

// rateLimiter bounds the requests per second of each subject and address.
type rateLimiter struct {
	each      rate.Limit
	addresses *addresses
	note      func(limit string)

	mu     sync.Mutex
	recent *simplelru.LRU[string, *rate.Limiter]
}

// newRateLimiter returns nil where there is no limit.
func newRateLimiter(perSecond int, a *addresses, note func(string)) *rateLimiter {
	if perSecond < 0 {
		return nil
	}
	recent, err := simplelru.NewLRU[string, *rate.Limiter](maxLimiters, nil)
	if err != nil {
		panic("sidecar: " + err.Error()) // the size is positive
	}
	return &rateLimiter{each: rate.Limit(perSecond), addresses: a, note: note, recent: recent}
}

// wait returns how long a subject or address must wait before the next request, 0 where it may come now.
func (l *rateLimiter) wait(who string, now time.Time) time.Duration {
	if l == nil || who == "" {
		return 0
	}
	l.mu.Lock()
	limiter, ok := l.recent.Get(who)
	if !ok {
		limiter = rate.NewLimiter(l.each, 2*int(l.each))
		l.recent.Add(who, limiter)
	}
	l.mu.Unlock()
	if limiter.AllowN(now, 1) {
		return 0
	}
	missing := 1 - limiter.TokensAt(now)
	return time.Duration(missing / float64(l.each) * float64(time.Second))
}

// over counts a request of a subject, or of an address where subject is "", and returns a problem where there are too many.
func (l *rateLimiter) over(r *http.Request, subject string) error {
	if l == nil {
		return nil
	}
	return l.overOf(subject, l.addresses.counted(r))
}

// overOf is over where the address is known; "" is not counted.
func (l *rateLimiter) overOf(subject, address string) error {
	if l == nil {
		return nil
	}
	who, whose := "", "of this token's subject"
	if subject != "" {
		who = "subject " + subject
	} else if address != "" {
		who, whose = "address "+address, "from your address"
	}
	wait := l.wait(who, time.Now())
	if wait <= 0 {
		return nil
	}
	l.note(LimitRequests)
	problem := problem.New(http.StatusTooManyRequests, "", fmt.Sprintf(
		"more than %.0f requests a second %s: wait, and ask less often; a WebSocket at /v1/feed sends changes without requests", l.each, whose))
	problem.RetryAfter = max(1, int(math.Ceil(wait.Seconds())))
	return problem
}
