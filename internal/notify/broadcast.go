package notify

import "sync"

// Broadcast wakes all goroutines that wait for the next event. The zero value is ready.
type Broadcast struct {
	mu   sync.Mutex
	wake chan struct{}
}

// Next returns a channel that is closed at the next event. A waiter takes it before it looks at the state that events change.
func (b *Broadcast) Next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wake == nil {
		b.wake = make(chan struct{})
	}
	return b.wake
}

// Send tells of an event.
func (b *Broadcast) Send() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wake != nil {
		close(b.wake)
		b.wake = nil
	}
}
