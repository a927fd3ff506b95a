package sidecar

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// maxPaced is of how many subjects and addresses the pace is remembered, about 4 MB. Whoever has been away for that many
// others may begin anew.
const maxPaced = 16_384

// pacer bounds the requests per second of everybody by themselves.
type pacer struct {
	each      rate.Limit
	addresses *addresses
	note      func(limit string)

	mu     sync.Mutex
	recent *simplelru.LRU[string, *rate.Limiter]
}

// newPacer returns nil where there is no limit.
func newPacer(perSecond int, a *addresses, note func(string)) *pacer {
	if perSecond < 0 {
		return nil
	}
	recent, err := simplelru.NewLRU[string, *rate.Limiter](maxPaced, nil)
	if err != nil {
		panic("sidecar: " + err.Error()) // the size is positive
	}
	return &pacer{each: rate.Limit(perSecond), addresses: a, note: note, recent: recent}
}

// wait is how long who must wait before the next request, 0 where it may come now.
func (p *pacer) wait(who string, now time.Time) time.Duration {
	if p == nil || who == "" {
		return 0
	}
	p.mu.Lock()
	pace, ok := p.recent.Get(who)
	if !ok {
		pace = rate.NewLimiter(p.each, 2*int(p.each))
		p.recent.Add(who, pace)
	}
	p.mu.Unlock()
	if pace.AllowN(now, 1) {
		return 0
	}
	missing := 1 - pace.TokensAt(now)
	return time.Duration(missing / float64(p.each) * float64(time.Second))
}

// over counts a request of a subject, or where that is "" of an address, and returns a problem where there are too many.
func (p *pacer) over(r *http.Request, subject string) error {
	if p == nil {
		return nil
	}
	return p.overOf(subject, p.addresses.counted(r))
}

// overOf is over where the address is known; "" is not counted.
func (p *pacer) overOf(subject, address string) error {
	if p == nil {
		return nil
	}
	who, whose := "", "of this token's subject"
	if subject != "" {
		who = "subject " + subject
	} else if address != "" {
		who, whose = "address "+address, "from your address"
	}
	wait := p.wait(who, time.Now())
	if wait <= 0 {
		return nil
	}
	p.note(limitRequests)
	problem := newProblem(http.StatusTooManyRequests, "", fmt.Sprintf(
		"more than %.0f requests a second %s: wait, and ask less often; a WebSocket at /v1/feed tells changes without being asked", p.each, whose))
	problem.retryAfter = max(1, int(math.Ceil(wait.Seconds())))
	return problem
}
