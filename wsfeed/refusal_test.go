package wsfeed

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
)

// failing has reads of some kinds fail in the same way each time.
func (s *script) failing(err error, kinds ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = make(map[string]error)
	for _, kind := range kinds {
		s.fail[kind] = err
	}
}

func tooLarge() error {
	return &Refusal{Code: "limit", Message: "too large", Err: errors.New("54000")}
}

// TestUnservableSubscriptionEnds: a read that fails however often it is tried ends its subscription with an error. It is not
// tried again, and logged once.
func TestUnservableSubscriptionEnds(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Snapshot", "Replay", "List"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := new(logtest.Buffer)
				b := unserved(func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
				defer b.hub.Shutdown(t.Context())
				b.src.failing(tooLarge(), kind)
				id := b.src.create(3)
				c := b.pipe(t)
				_ = c.ws.SetReadDeadline(time.Time{})
				if kind == "List" {
					c.send(`{"type":"subscribe","sub":"a","list":{}}`)
				} else {
					c.subscribe("a", id, 0)
				}
				m := c.next()
				if kind == "Replay" {
					require.Equal(t, "snapshot", m.Type)
					m = c.next()
				}
				require.Equal(t, "error", m.Type)
				require.Equal(t, "limit", m.Code)
				require.Equal(t, "too large", m.Message)
				require.Equal(t, "a", m.Sub)
				for range 100 {
					time.Sleep(10 * time.Second) //nolint:forbidigo // the bubble's time
					c.send(`{"type":"ping"}`)
					c.expect("pong", "")
				}
				require.Equal(t, 1, b.src.calls(kind))
				require.Contains(t, log.String(), "cannot be served")
				require.Contains(t, log.String(), "54000")
				require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())

				c.send(`{"type":"unsubscribe","sub":"a"}`)
				require.Equal(t, "invalid", c.next().Code, "the name is free")
			})
		})
	}
}

// TestEventStreamThatCannotBeServedEnds: an event stream gets the same error, and ends.
func TestEventStreamThatCannotBeServedEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		id := src.create(3)
		src.failing(tooLarge(), "Replay")
		w, done := events(t.Context(), hub, id)
		<-done
		require.Contains(t, w.text(), `"code":"limit"`)
		require.Equal(t, 1, src.calls("Replay"))
	})
}

// TestItemsWithoutCounts: where only the counts cannot be read, the items come all the same.
func TestItemsWithoutCounts(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"Passing": errDown, "ForGood": tooLarge()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hub, src := newHub(t)
				filter := ListFilter{Limit: 50}
				id := uuid.New()
				src.setList(filter, []testItem{{AgentID: id, Version: 1}})
				src.failing(err, "Counts")
				m := watchList(t, hub, filter)
				time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
				f, failed := m.s.next(context.Background())
				require.NoError(t, failed)
				var got struct {
					Items  []testItem
					Counts json.RawMessage
				}
				require.NoError(t, json.Unmarshal(f.Body, &got))
				require.Equal(t, []testItem{{AgentID: id, Version: 1}}, got.Items)
				require.JSONEq(t, "{}", string(got.Counts))

				src.failing(nil)
				time.Sleep(2 * hub.cfg.ListRefresh) //nolint:forbidigo // the bubble's time
				m.items = map[uuid.UUID]int{id: 1}
				m.pull()
				m.shows([]testItem{{AgentID: id, Version: 1}})
			})
		})
	}
}

// TestListCooldownAfterFailedRead: after a slow read that failed the cooldown of a list is the same as after a successful one.
func TestListCooldownAfterFailedRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		src.before = func(context.Context, string) { time.Sleep(8 * time.Second) } //nolint:forbidigo // the bubble's time
		src.failing(errDown, "List")
		watchList(t, hub, ListFilter{Limit: 50})
		time.Sleep(3 * time.Minute) //nolint:forbidigo // the bubble's time
		require.LessOrEqual(t, src.calls("List"), 11, "8 s of reading, 10 s of cooldown")
	})
}
