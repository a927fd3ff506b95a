package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m).Run()) }

// patience bounds every wait for something that must happen.
const patience = time.Minute

// world is a database with a sidecar.
type world struct {
	db  *pgtest.Database
	c   *client.Client
	url string
	end func() // ends the sidecar
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db := pgtest.New(t)
	w := &world{db: db, c: client.New(db.Pool(t))}
	w.serve(t, sidecar.Config{DatabaseURL: db.URL, Addr: "127.0.0.1:0"})
	return w
}

// serve runs a sidecar until the test ends.
func (w *world) serve(t *testing.T, config sidecar.Config) {
	t.Helper()
	ready := make(chan string, 1)
	config.OnReady = func(url string) { ready <- url }
	config.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	server, err := sidecar.New(config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	w.end = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(w.end)
	select {
	case w.url = <-ready:
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "the sidecar is not ready")
	}
}

func (w *world) sidecar(t *testing.T, token string) *Sidecar {
	t.Helper()
	s, err := NewSidecar(SidecarConfig{URL: w.url + "/", Token: func() (string, error) { return token, nil }})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// both runs a test with a database and with a sidecar as the source.
func both(t *testing.T, test func(t *testing.T, w *world, s Source)) {
	t.Helper()
	t.Parallel()
	for name, open := range map[string]func(t *testing.T, w *world) Source{
		"Database": func(_ *testing.T, w *world) Source { return NewDatabase(w.c, func() {}) },
		"Sidecar":  func(t *testing.T, w *world) Source { return w.sidecar(t, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test(t, w, open(t, w))
		})
	}
}

func (w *world) create(t *testing.T, kind string, lines ...string) uuid.UUID {
	t.Helper()
	id, err := w.c.Create(t.Context(), kind, "")
	require.NoError(t, err)
	w.log(t, id, lines...)
	return id
}

func (w *world) log(t *testing.T, id uuid.UUID, lines ...string) {
	t.Helper()
	for _, line := range lines {
		_, err := w.c.Update(t.Context(), id, line, client.WithStatus(client.StatusRunning))
		require.NoError(t, err)
	}
}

func TestList(t *testing.T) {
	both(t, func(t *testing.T, w *world, s Source) {
		ctx := t.Context()
		queued := w.create(t, "research")
		running := w.create(t, "review", "Go")
		done := w.create(t, "research", "Go")
		_, err := w.c.Complete(ctx, done, "")
		require.NoError(t, err)
		number, err := w.c.Create(ctx, "research", "", client.WithMetadata(map[string]any{"org": 7, "vip": true, "name": `"a b"&c`}))
		require.NoError(t, err)

		for name, tc := range map[string]struct {
			params client.ListParams
			want   []uuid.UUID
		}{
			"All":      {client.ListParams{}, []uuid.UUID{running, number, queued, done}},
			"Statuses": {client.ListParams{Statuses: []client.Status{client.StatusRunning, client.StatusComplete}}, []uuid.UUID{running, done}},
			"Type":     {client.ListParams{AgentType: "research"}, []uuid.UUID{number, queued, done}},
			"Number":   {client.ListParams{MetadataFilter: map[string]any{"org": client.NumberOrText("7")}}, []uuid.UUID{number}},
			"NoText":   {client.ListParams{MetadataFilter: map[string]any{"org": "7"}}, nil},
			"Boolean":  {client.ListParams{MetadataFilter: map[string]any{"vip": client.MetadataValue("true")}}, []uuid.UUID{number}},
			"Quotes":   {client.ListParams{MetadataFilter: map[string]any{"name": `"a b"&c`}}, []uuid.UUID{number}},
			"Stale":    {client.ListParams{Stale: new(true)}, nil},
			"NotStale": {client.ListParams{Stale: new(false), PageSize: 1}, []uuid.UUID{running}},
			"Sort":     {client.ListParams{AgentType: "research", Sort: client.SortActivity, Order: client.OrderAsc}, []uuid.UUID{queued, number, done}},
			"Since":    {client.ListParams{Since: client.Ago(time.Hour), Until: client.At(time.Now().Add(time.Hour))}, []uuid.UUID{running, number, queued, done}},
			"Until":    {client.ListParams{Until: client.Ago(time.Hour)}, nil},
			"Prefix":   {client.ListParams{IDPrefix: done.String()[:13]}, []uuid.UUID{done}},
			"Page":     {client.ListParams{PageSize: 3, Page: 2}, []uuid.UUID{done}},
		} {
			list, err := List(ctx, s, tc.params)
			require.NoError(t, err, name)
			var ids []uuid.UUID
			for _, item := range list.Items {
				ids = append(ids, item.AgentID)
			}
			require.Equal(t, tc.want, ids, name)
			fromDatabase, err := w.c.ListJSON(ctx, tc.params)
			require.NoError(t, err)
			answer, err := s.ListJSON(ctx, tc.params)
			require.NoError(t, err)
			require.JSONEq(t, string(fromDatabase), string(answer), name)
		}
		first, err := List(ctx, s, client.ListParams{PageSize: 3, IncludeMetadata: true})
		require.NoError(t, err)
		require.JSONEq(t, `{"org": 7, "vip": true, "name": "\"a b\"&c"}`, string(first.Items[1].Metadata))
		second, err := List(ctx, s, client.ListParams{PageSize: 3, After: *first.Next})
		require.NoError(t, err)
		require.Len(t, second.Items, 1)
	})
}

func TestFindID(t *testing.T) {
	both(t, func(t *testing.T, w *world, s Source) {
		ctx := t.Context()
		for _, id := range []string{"abcdef01-2345-4000-8000-000000000001", "abcdef01-2346-4000-8000-000000000001"} {
			_, err := w.c.Create(ctx, "research", "", client.WithAgentID(uuid.MustParse(id)))
			require.NoError(t, err)
		}
		id, err := s.FindID(ctx, "abcdef012345")
		require.NoError(t, err)
		require.Equal(t, "abcdef01-2345-4000-8000-000000000001", id.String())
		for prefix, want := range map[string]error{"abcd": client.ErrInvalid, "0000": client.ErrNotFound, "xyz": client.ErrInvalid} {
			_, err := s.FindID(ctx, prefix)
			require.ErrorIs(t, err, want)
			_, fromDatabase := w.c.FindID(ctx, prefix)
			require.Equal(t, fromDatabase.Error(), err.Error())
		}
	})
}

func TestStats(t *testing.T) {
	both(t, func(t *testing.T, w *world, s Source) {
		ctx := t.Context()
		w.create(t, "research")
		id := w.create(t, "review", "Go")
		_, err := w.c.Error(ctx, id, "No luck")
		require.NoError(t, err)
		stats, err := s.Stats(ctx, client.StatsParams{})
		require.NoError(t, err)
		require.Equal(t, int64(1), stats.Active)
		require.Equal(t, int64(1), stats.Counts.ByStatus[client.StatusError])
		require.Equal(t, int64(1), stats.Ended.Error)
		require.Equal(t, "No luck", stats.Failures[0].Message)
		stats, err = s.Stats(ctx, client.StatsParams{Since: client.Ago(10 * time.Minute), Bucket: 5 * time.Minute})
		require.NoError(t, err)
		require.Contains(t, []int{2, 3}, len(stats.Series))
		_, err = s.Stats(ctx, client.StatsParams{Bucket: time.Millisecond})
		require.ErrorIs(t, err, client.ErrInvalid)
	})
}

func TestDetail(t *testing.T) {
	both(t, func(t *testing.T, w *world, s Source) {
		ctx := t.Context()
		id := w.create(t, "research", "Go")
		const lines = 2500 // three pages
		entries := make([]client.Entry, lines-2)
		for i := range entries {
			entries[i] = client.Entry{AgentID: id, Message: fmt.Sprint(i), Data: map[string]any{"<": i}}
		}
		_, err := w.c.AppendLogs(ctx, entries)
		require.NoError(t, err)
		for _, params := range []client.DetailParams{{LogLimit: new(0)}, {AfterSeq: 2490}, {AfterSeq: 5, LogLimit: new(2), IncludeMetadata: true}} {
			detail, err := Detail(ctx, s, id, params)
			require.NoError(t, err)
			want, err := w.c.Detail(ctx, id, params)
			require.NoError(t, err)
			detail.NextAfterSeq = nil
			require.Equal(t, want, detail)
		}
		answer, err := s.DetailJSON(ctx, id, client.DetailParams{})
		require.NoError(t, err)
		want, err := w.c.DetailJSON(ctx, id, client.DetailParams{})
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(answer))

		seq := 3
		for line, err := range s.Logs(ctx, id, seq) {
			require.NoError(t, err)
			seq++
			require.Equal(t, seq, line.Seq)
		}
		require.Equal(t, lines, seq)
	})
}

func TestRefusals(t *testing.T) {
	both(t, func(t *testing.T, w *world, s Source) {
		ctx := t.Context()
		none := uuid.New()
		_, err := s.DetailJSON(ctx, none, client.DetailParams{})
		require.ErrorIs(t, err, client.ErrNotFound)
		require.ErrorContains(t, err, "no activity with agent_id "+none.String())
		for _, seq := range []func(context.Context, uuid.UUID, int) func(func(client.Log, error) bool){
			func(ctx context.Context, id uuid.UUID, after int) func(func(client.Log, error) bool) {
				return s.Logs(ctx, id, after)
			},
			func(ctx context.Context, id uuid.UUID, after int) func(func(client.Log, error) bool) {
				return s.Watch(ctx, id, after)
			},
		} {
			n := 0
			for _, err := range seq(ctx, none, 0) {
				n++
				require.ErrorIs(t, err, client.ErrNotFound)
			}
			require.Equal(t, 1, n)
		}
		_, err = s.ListJSON(ctx, client.ListParams{PageSize: 1001})
		require.ErrorIs(t, err, client.ErrInvalid)
		require.ErrorContains(t, err, "page_size must be between 1 and 1000, got 1001")
		_, err = s.ListJSON(ctx, client.ListParams{After: "nonsense"})
		require.ErrorIs(t, err, client.ErrInvalid)
		_, err = s.Cancel(ctx, none, Cancel{})
		require.ErrorIs(t, err, client.ErrNotFound)
		done := w.create(t, "research")
		_, err = w.c.Complete(ctx, done, "")
		require.NoError(t, err)
		_, err = s.Cancel(ctx, done, Cancel{})
		require.ErrorIs(t, err, client.ErrFinished)
		require.ErrorContains(t, err, "is COMPLETE and cannot become CANCELED")
	})
}

func TestCancel(t *testing.T) {
	both(t, func(t *testing.T, w *world, s Source) {
		ctx := t.Context()
		line, err := s.Cancel(ctx, w.create(t, "research"), Cancel{Message: "Not needed"})
		require.NoError(t, err)
		require.Equal(t, client.StatusCanceled, line.Status)
		require.Equal(t, "Not needed", line.Message)

		id := w.create(t, "research", "Go")
		line, err = s.Cancel(ctx, id, Cancel{Never: true, RequestedBy: "me"})
		require.NoError(t, err)
		require.Equal(t, client.StatusRunning, line.Status)
		activity, err := Activity(ctx, s, id)
		require.NoError(t, err)
		require.NotNil(t, activity.Cancel)
		require.Nil(t, activity.Cancel.ForceAt)
		_, err = s.Cancel(ctx, id, Cancel{Grace: new(time.Hour)})
		require.NoError(t, err)
		activity, err = Activity(ctx, s, id)
		require.NoError(t, err)
		require.NotNil(t, activity.Cancel.ForceAt)
		line, err = s.Cancel(ctx, id, Cancel{Grace: new(time.Duration(0))})
		require.NoError(t, err)
		require.Equal(t, client.StatusCanceled, line.Status)
	})
}

func TestWatchEnds(t *testing.T) {
	both(t, func(t *testing.T, w *world, s Source) {
		ctx := t.Context()
		id := w.create(t, "research")
		seq := 0
		for line, err := range s.Watch(ctx, id, 0) {
			require.NoError(t, err)
			seq++
			require.Equal(t, seq, line.Seq)
			switch seq {
			case 1, 2:
				w.log(t, id, "<more>")
			case 3:
				require.Equal(t, "<more>", line.Message)
				_, err := w.c.Complete(ctx, id, "", client.WithData(map[string]any{"a": 1}))
				require.NoError(t, err)
			case 4:
				require.Equal(t, client.StatusComplete, line.Status)
				require.JSONEq(t, `{"a": 1}`, string(line.Data))
			}
		}
		require.Equal(t, 4, seq)
		for line, err := range s.Watch(ctx, id, 4) {
			require.Fail(t, "no line is left", "%v %v", line, err)
		}
		for line, err := range s.Watch(ctx, id, 1) { // the caller leaves
			require.NoError(t, err)
			require.Equal(t, 2, line.Seq)
			break
		}

		ended, cancel := context.WithCancel(ctx)
		waiting := w.create(t, "research")
		for line, err := range s.Watch(ended, waiting, 0) {
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
				break
			}
			require.Equal(t, 1, line.Seq)
			cancel()
		}
		cancel()
	})
}

// recorder are Outages that a test can wait for.
type recorder struct{ events chan error }

func newRecorder() (*recorder, *Outages) {
	r := &recorder{events: make(chan error, 100)}
	return r, &Outages{Lost: func(err error) { r.events <- err }, Again: func() { r.events <- nil }}
}

func (r *recorder) next(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.events:
		return err
	case <-time.After(patience):
		require.Fail(t, "no outage was reported")
		return nil
	}
}

var errDown = errors.New("down")

func TestOutagesReportEachChangeOnce(t *testing.T) {
	t.Parallel()
	r, outages := newRecorder()
	for _, err := range []error{nil, nil, errDown, errDown, nil, nil, errDown} {
		outages.note(err)
	}
	require.Equal(t, errDown, r.next(t))
	require.NoError(t, r.next(t))
	require.Equal(t, errDown, r.next(t))
	require.Empty(t, r.events)
	(*Outages)(nil).note(errDown)
}
