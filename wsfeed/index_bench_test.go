package wsfeed

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
)

// BenchmarkIndex publishes to 5,000 activities while subscribers of others come and go: what a busy tail and a busy
// front door do to each other. The tail asks what is watched now and then, as it does before every read.
func BenchmarkIndex(b *testing.B) {
	const activities = 5000
	hub := New(newScript(), Config{})
	b.Cleanup(func() { hub.Shutdown(context.Background()) })
	ids := make([]uuid.UUID, activities)
	for i := range ids {
		ids[i] = uuid.New()
		b.Cleanup(hub.joinTopic(ids[i], "", 0, noSink{}).leave)
	}
	var workers atomic.Int64
	b.SetParallelism(4)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		n := int(workers.Add(1)) * 7919
		for pb.Next() {
			n++
			switch {
			case n%1000 == 0:
				hub.Watched()
			case n%4 == 0:
				hub.joinTopic(uuid.New(), "", 0, noSink{}).leave()
			default:
				hub.Publish(ids[n%activities], Batch{})
			}
		}
	})
}
