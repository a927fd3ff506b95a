package wsfeed

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// eventWriter is the server's end of a response: it remembers what was sent, and takes nothing while it is stuck.
type eventWriter struct {
	*httptest.ResponseRecorder
	mu       sync.Mutex
	deadline time.Time
	stuck    bool
	// onDeadline, where set, runs before a write deadline is set.
	onDeadline func()
}

func (w *eventWriter) SetReadDeadline(time.Time) error { return nil }

func (w *eventWriter) SetWriteDeadline(at time.Time) error {
	w.mu.Lock()
	race := w.onDeadline
	w.onDeadline = nil
	w.mu.Unlock()
	if race != nil {
		race()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = at
	return nil
}

func (w *eventWriter) Write(b []byte) (int, error) {
	for {
		w.mu.Lock()
		left := time.Until(w.deadline)
		if !w.stuck {
			defer w.mu.Unlock()
			return w.ResponseRecorder.Write(b)
		}
		w.mu.Unlock()
		if left <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		time.Sleep(min(left, time.Second)) //nolint:forbidigo // the bubble's time
	}
}

// text takes what was sent since it was called last.
func (w *eventWriter) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.Body.String()
	w.Body.Reset()
	return text
}

// events has a hub serve an event stream to a writer of ours; done is closed when the handler has returned.
func events(ctx context.Context, hub *Hub, id uuid.UUID) (w *eventWriter, done chan struct{}) {
	w = &eventWriter{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/feed/"+id.String(), nil)
	r.Header.Set("Accept", "text/event-stream")
	done = make(chan struct{})
	go func() {
		defer close(done)
		hub.Handler().ServeHTTP(w, r)
	}()
	return w, done
}

func TestEventStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		id := src.create(1)
		w, done := events(t.Context(), hub, id)
		synctest.Wait()
		require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
		require.True(t, w.Flushed)
		require.Equal(t, "event: snapshot\ndata: {\"type\":\"snapshot\",\"activity\":"+
			`{"agent_id":"`+id.String()+`","stale":false,"status":"RUNNING","last_seq":1}}`+"\n\n"+
			"event: logs\nid: 1\ndata: {\"type\":\"logs\",\"activity\":{\"stale\":false,\"status\":\"RUNNING\",\"last_seq\":1,\"updated_at\":1},"+
			"\"logs\":[{\"id\":1,\"seq\":1,\"message\":\"line\"}]}\n\n", w.text())

		time.Sleep(time.Minute + time.Second) //nolint:forbidigo // the bubble's time
		require.Equal(t, strings.Repeat(": still here\n\n", 3), w.text())

		hub.Publish(id, src.write(id, 1, "COMPLETE", "done"))
		<-done
		text := w.text()
		require.Contains(t, text, "event: logs\nid: 2\n")
		require.True(t, strings.HasSuffix(text,
			"event: end\nid: 2\ndata: {\"type\":\"end\",\"status\":\"COMPLETE\",\"last_seq\":2}\n\n"), text)
		n := hub.Stats()
		require.Zero(t, n.Sockets+n.Subscriptions+n.Activities+n.Behind)
	})
}

func TestEventStreamSaysThatItIsOpenBeforeTheFirstEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		id := src.create(1)
		src.before = func(ctx context.Context, _ string) {
			if src.calls("Snapshot") > 1 { // the first makes sure that there is such an activity
				<-ctx.Done()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		w, done := events(ctx, hub, id)
		synctest.Wait()
		require.True(t, w.Flushed)
		cancel()
		<-done
	})
}

func TestEventStreamOfAClientThatLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		id := src.create(1)
		ctx, cancel := context.WithCancel(t.Context())
		_, done := events(ctx, hub, id)
		synctest.Wait()
		cancel()
		<-done
		n := hub.Stats()
		require.Zero(t, n.Sockets+n.Subscriptions+n.Activities+n.Behind)
	})
}

func TestEventStreamOfAnActivityThatIsDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		id := src.create(1)
		w, done := events(t.Context(), hub, id)
		synctest.Wait()
		src.remove(id)
		src.deleted(hub, id)
		<-done
		require.Contains(t, w.text(), `event: error`+"\n"+`data: {"type":"error","code":"not_found"`)
	})
}

func TestEventStreamOfAClientThatTakesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		id := src.create(1)
		w, done := events(t.Context(), hub, id)
		synctest.Wait()
		w.mu.Lock()
		w.stuck = true
		w.mu.Unlock()
		began := time.Now()
		hub.Publish(id, src.append(id, 1))
		<-done
		require.InDelta(t, hub.cfg.WriteTimeout.Seconds(), time.Since(began).Seconds(), 2)
	})
}

func TestShutdownOfEventStreams(t *testing.T) {
	t.Parallel()

	t.Run("AfterWaitingFrames", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			hub, src := newHub(t, func(c *Config) { c.FrameBytes = 1 })
			id := src.create(300)
			began, down := time.Now(), make(chan struct{})
			var once sync.Once
			src.after = func(_ context.Context, kind string) {
				if kind == "Replay" {
					once.Do(func() {
						go func() {
							defer close(down)
							hub.Shutdown(context.Background())
						}()
						for !hub.isClosing() {
							time.Sleep(time.Nanosecond) //nolint:forbidigo // the bubble's time
						}
					})
				}
			}
			w, done := events(t.Context(), hub, id)
			<-done
			<-down
			require.Contains(t, w.text(), "id: 300\n")
			require.Less(t, time.Since(began), time.Second)
		})
	})

	t.Run("WithoutAnEnd", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			hub, src := newHub(t)
			id := src.create(1)
			src.replayLines = 1
			src.after = func(_ context.Context, kind string) {
				if kind == "Replay" {
					time.Sleep(time.Millisecond) //nolint:forbidigo // the bubble's time
					src.append(id, 1)
					src.confirm(hub, id) // there is always one more
				}
			}
			_, done := events(t.Context(), hub, id)
			synctest.Wait()
			began := time.Now()
			hub.Shutdown(context.Background())
			<-done
			require.Less(t, time.Since(began), hub.cfg.DrainTimeout)
		})
	})

	t.Run("StuckAndAtTheWorstMoment", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			hub, src := newHub(t)
			id := src.create(1)
			w, done := events(t.Context(), hub, id)
			synctest.Wait()
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // no time to drain: cut at once
			w.mu.Lock()
			w.stuck = true
			// The connection is cut between the decision to write and the deadline of that write.
			w.onDeadline = func() {
				go hub.Shutdown(ctx)
				for !w.wasCut() {
					time.Sleep(time.Millisecond) //nolint:forbidigo // the bubble's time
				}
			}
			w.mu.Unlock()
			began := time.Now()
			hub.Publish(id, src.append(id, 1))
			<-done
			require.Less(t, time.Since(began), time.Second, "the write timeout was waited out")
		})
	})
}

func (h *Hub) isClosing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closing
}

// wasCut reports whether the deadline has passed.
func (w *eventWriter) wasCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !time.Now().Before(w.deadline)
}
