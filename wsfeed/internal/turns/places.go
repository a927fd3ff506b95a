// Package turns decides when work that many sockets ask for may run: the reads of Postgres take turns for a few places (Places),
// and work that is asked for often runs at most once an interval (Coalescer).
//
// May import: nothing of this module.
package turns

import (
	"container/list"
	"context"
	"slices"
	"sync"
)

// Lane is a class of reads of Postgres. Reads of a lane go before those of the lanes after it.
type Lane int

// The lanes.
const (
	Subscriber Lane = iota // a snapshot or a replay: a subscriber waits for its next frame
	NewList                // the first read of a list
	List                   // a later read of a list
	lanes
)

// maxPassed is how often earlier lanes may go before a waiting lane until it gets a turn of its own.
const maxPassed = 8

// Places gives out the few places for reads of Postgres. Within a lane sockets take turns, however many reads each has
// waiting: a socket with a thousand lists does not delay another socket's list. Of two or more places, one is kept for
// subscribers, because a read of a list may be slow.
type Places struct {
	max      int
	maxLists int

	mu      sync.Mutex
	idle    sync.Cond
	busy    int
	lists   int // reads of lists among them
	waiting int
	queues  [lanes]queues
}

// queues holds the waiting reads of a lane, by socket.
type queues struct {
	order   *list.List // of *queue, the next first
	byOwner map[any]*queue
	passed  int // how often another lane went before
}

type queue struct {
	owner any
	turns []chan struct{}
	at    *list.Element
}

// New returns Places for at most so many reads at once.
func New(most int) *Places {
	t := &Places{max: most, maxLists: max(1, most-1)}
	t.idle.L = &t.mu
	for i := range t.queues {
		t.queues[i] = queues{order: list.New(), byOwner: make(map[any]*queue)}
	}
	return t
}

// TryTake takes a free place, unless a reader waits for it.
func (t *Places) TryTake(l Lane) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting > 0 || !t.free(l) {
		return false
	}
	t.give(l)
	return true
}

// Take waits for a place.
func (t *Places) Take(ctx context.Context, l Lane, owner any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	turn := make(chan struct{})
	t.mu.Lock()
	q := t.queues[l].byOwner[owner]
	if q == nil {
		q = &queue{owner: owner}
		q.at = t.queues[l].order.PushBack(q)
		t.queues[l].byOwner[owner] = q
	}
	q.turns = append(q.turns, turn)
	t.waiting++
	t.next()
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(q.turns, turn)
	if at < 0 { // its turn has come meanwhile
		t.leave(l)
		return ctx.Err()
	}
	q.turns = slices.Delete(q.turns, at, at+1)
	t.waiting--
	t.queues[l].tidy(q)
	return ctx.Err()
}

// Done gives a place back.
func (t *Places) Done(l Lane) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leave(l)
}

// free reports whether a read of the lane may begin. Called with mu held, as are all below.
func (t *Places) free(l Lane) bool {
	return t.busy < t.max && (l == Subscriber || t.lists < t.maxLists)
}

func (t *Places) give(l Lane) {
	t.busy++
	if l != Subscriber {
		t.lists++
	}
}

func (t *Places) leave(l Lane) {
	t.busy--
	if l != Subscriber {
		t.lists--
	}
	if t.busy == 0 {
		t.idle.Broadcast()
	}
	t.next()
}

// next gives the free places to the reads whose turn it is.
func (t *Places) next() {
	for {
		l, ok := t.choose()
		if !ok {
			return
		}
		t.give(l)
		t.waiting--
		close(t.queues[l].pop())
	}
}

// choose returns the first lane that has waiting reads and may begin one, or a later one that was passed over too often.
func (t *Places) choose() (chosen Lane, ok bool) {
	chosen = -1
	for l := range lanes {
		q := &t.queues[l]
		if q.order.Len() > 0 && t.free(l) && (chosen < 0 || q.passed >= maxPassed) {
			chosen = l
		}
	}
	if chosen < 0 {
		return 0, false
	}
	for l := chosen + 1; l < lanes; l++ {
		if t.queues[l].order.Len() > 0 {
			t.queues[l].passed++
		}
	}
	t.queues[chosen].passed = 0
	return chosen, true
}

// pop takes the oldest read of the owner whose turn it is, and puts that owner behind the others.
func (q *queues) pop() chan struct{} {
	first, _ := q.order.Front().Value.(*queue)
	turn := first.turns[0]
	first.turns = first.turns[1:]
	q.order.MoveToBack(first.at)
	q.tidy(first)
	return turn
}

func (q *queues) tidy(of *queue) {
	if len(of.turns) == 0 && q.byOwner[of.owner] == of {
		q.order.Remove(of.at)
		delete(q.byOwner, of.owner)
	}
}

// Shortest returns the owner with the fewest waiting reads in a lane.
func (t *Places) Shortest(l Lane, owners []any) (best any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	least := -1
	for _, owner := range owners {
		n := 0
		if q := t.queues[l].byOwner[owner]; q != nil {
			n = len(q.turns)
		}
		if least < 0 || n < least {
			best, least = owner, n
		}
	}
	return best
}

// Await returns when no read is under way.
func (t *Places) Await() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.busy > 0 {
		t.idle.Wait()
	}
}

// Numbers returns how many reads are under way, and how many wait for a place.
func (t *Places) Numbers() (busy, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.busy, t.waiting
}
