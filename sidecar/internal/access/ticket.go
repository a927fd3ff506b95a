package access

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/agentexec/agentexec/internal/auth"
)

const (
	// TicketLife is how long a ticket is valid.
	TicketLife = 30 * time.Second
	// maxTickets is how many may be made within TicketLife, in all and by one subject, so that one subject cannot use them all.
	maxTickets        = 10_000
	maxSubjectTickets = 1_000
)

// tickets are for an EventSource, which sends no header. Its URL ends up in logs and histories, so it carries a ticket, which
// soon expires, instead of the token. Tickets are in memory: another sidecar does not know them.
type tickets struct {
	mu       sync.Mutex
	grants   map[string]auth.Grant
	made     []madeTicket   // all tickets of the last 30 seconds, used or not, by time
	subjects map[string]int // how many of them each subject has
}

type madeTicket struct {
	text, subject string
	until         time.Time
}

// make returns a new ticket, "" where there are too many.
func (t *tickets) make(g auth.Grant, now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	if len(t.made) >= maxTickets || t.subjects[g.Subject] >= maxSubjectTickets {
		return ""
	}
	if t.grants == nil {
		t.grants, t.subjects = make(map[string]auth.Grant), make(map[string]int)
	}
	text := rand.Text()
	t.grants[text] = g
	t.subjects[g.Subject]++
	t.made = append(t.made, madeTicket{text, g.Subject, now.Add(TicketLife)})
	return text
}

// use returns what a ticket grants, once.
func (t *tickets) use(text string, now time.Time) (auth.Grant, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	g, ok := t.grants[text]
	delete(t.grants, text)
	return g, ok && now.Before(g.Expires.Add(auth.Leeway))
}

// forget drops expired tickets. Called with mu held.
func (t *tickets) forget(now time.Time) {
	n := 0
	for n < len(t.made) && !now.Before(t.made[n].until) {
		old := t.made[n]
		delete(t.grants, old.text)
		if t.subjects[old.subject]--; t.subjects[old.subject] == 0 {
			delete(t.subjects, old.subject)
		}
		n++
	}
	if t.made = t.made[n:]; len(t.made) == 0 {
		t.made = nil
	}
}
