// Package budget bounds the bytes held in memory: data read from Postgres or from a client that the other side has not taken
// yet. Each part of the program that holds such bytes reserves them first.
//
// May import: nothing of this module.
package budget

import (
	"context"
	"errors"
	"sync"
)

// ErrExhausted is returned by Reserve when the bytes did not become free in time.
var ErrExhausted = errors.New("the memory for answers is in use")

// Budget is a number of bytes that may be held at once. It is safe for concurrent use.
type Budget struct {
	size, each int64

	mu    sync.Mutex
	held  int64
	whose map[string]int64
	freed chan struct{} // closed when bytes become free
}

// New returns a budget of size bytes. One holder may have a quarter of it.
func New(size int64) *Budget {
	return &Budget{size: size, each: max(1, size/4), whose: make(map[string]int64), freed: make(chan struct{})}
}

// Size returns the number of bytes that may be held.
func (b *Budget) Size() int64 { return b.size }

// Held returns the number of bytes that are held.
func (b *Budget) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// Reserve takes n bytes for a holder. It waits for them until ctx ends; then it returns ErrExhausted. The bytes of holder ""
// count only in the whole. A holder with no bytes gets its first ones even where they are more than a quarter. Where no bytes
// are held, any number is granted.
func (b *Budget) Reserve(ctx context.Context, holder string, n int64) (*Share, error) {
	for {
		freed, ok := b.take(holder, n)
		if ok {
			return &Share{budget: b, holder: holder, bytes: n}, nil
		}
		select {
		case <-ctx.Done():
			return nil, ErrExhausted
		case <-freed:
		}
	}
}

// take takes n bytes, or returns a channel to wait for.
func (b *Budget) take(holder string, n int64) (freed <-chan struct{}, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := b.whose[holder]
	if b.held > 0 && b.held+n > b.size || holder != "" && own > 0 && own+n > b.each {
		return b.freed, false
	}
	b.add(holder, n)
	return nil, true
}

func (b *Budget) add(holder string, n int64) {
	b.held += n
	if holder != "" {
		if b.whose[holder] += n; b.whose[holder] <= 0 {
			delete(b.whose, holder)
		}
	}
	if n < 0 {
		close(b.freed)
		b.freed = make(chan struct{})
	}
}

// Share is a number of reserved bytes. Its methods may be called on nil, which is an empty share.
type Share struct {
	budget *Budget
	holder string
	bytes  int64
}

// Resize makes the share n bytes, once n is known. It never waits: a larger share may exceed the budget.
func (s *Share) Resize(n int64) {
	if s == nil {
		return
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.budget.add(s.holder, n-s.bytes)
	s.bytes = n
}

// Release gives the bytes back. A second call does nothing.
func (s *Share) Release() { s.Resize(0) }
