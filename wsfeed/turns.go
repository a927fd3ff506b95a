package wsfeed

import (
	"container/list"
	"context"
	"slices"
	"sync"
)

// lane is a class of reads of Postgres. Reads of a lane go before those of the lanes after it.
type lane int

const (
	laneSubscriber lane = iota // a snapshot or a replay: a subscriber waits for its next frame
	laneNewList                // the first read of a list
	laneList                   // a later read of a list
	lanes
)

// maxPassed is how often earlier lanes may go before a waiting lane until it gets a turn of its own.
const maxPassed = 8

// turns gives out the few places for reads of Postgres. Within a lane sockets take turns, however many reads each has
// waiting: a socket with a thousand lists does not delay another socket's list. Of two or more places, one is kept for
// subscribers, because a read of a list may be slow.
type turns struct {
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

func newTurns(most int) *turns {
	t := &turns{max: most, maxLists: max(1, most-1)}
	t.idle.L = &t.mu
	for i := range t.queues {
		t.queues[i] = queues{order: list.New(), byOwner: make(map[any]*queue)}
	}
	return t
}

// tryTake takes a free place, unless a reader waits for it.
func (t *turns) tryTake(l lane) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting > 0 || !t.free(l) {
		return false
	}
	t.give(l)
	return true
}

// take waits for a place.
func (t *turns) take(ctx context.Context, l lane, owner any) error {
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

// done gives a place back.
func (t *turns) done(l lane) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leave(l)
}

// free reports whether a read of the lane may begin. Called with mu held, as are all below.
func (t *turns) free(l lane) bool {
	return t.busy < t.max && (l == laneSubscriber || t.lists < t.maxLists)
}

func (t *turns) give(l lane) {
	t.busy++
	if l != laneSubscriber {
		t.lists++
	}
}

func (t *turns) leave(l lane) {
	t.busy--
	if l != laneSubscriber {
		t.lists--
	}
	if t.busy == 0 {
		t.idle.Broadcast()
	}
	t.next()
}

// next gives the free places to the reads whose turn it is.
func (t *turns) next() {
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
func (t *turns) choose() (chosen lane, ok bool) {
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

// shortest returns the owner with the fewest waiting reads in a lane.
func (t *turns) shortest(l lane, owners []any) (best any) {
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

// await returns when no read is under way.
func (t *turns) await() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.busy > 0 {
		t.idle.Wait()
	}
}

func (t *turns) numbers() (busy, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.busy, t.waiting
}
