package sidecar_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// locked is an activity whose row another transaction holds, until release.
func (s *service) locked(t *testing.T) (id uuid.UUID, release func()) {
	t.Helper()
	id = s.create(t)
	tx, err := s.db.Conn(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = client.New(tx).Update(t.Context(), id, "idle in a transaction")
	require.NoError(t, err)
	return id, sync.OnceFunc(func() { require.NoError(t, tx.Rollback(t.Context())) })
}

// TestLockedActivity: more cancels of an activity whose worker is idle in a transaction than there are connections are each
// answered within 5 s, with 503 and 55P03. Reads, new subscriptions and readiness do not notice them.
func TestLockedActivity(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.awaitReadiness(t, http.StatusOK, "healthy")
	id, release := s.locked(t)
	defer release()
	other := s.create(t)

	const cancels = 24
	type answer struct {
		status int
		text   string
		took   time.Duration
	}
	answers := make(chan answer, cancels)
	began := time.Now()
	for range cancels {
		go func() {
			status, text, err := s.tryCall(http.MethodPost, "/v1/activities/"+id.String()+"/cancel", "")
			if err != nil {
				text = err.Error()
			}
			answers <- answer{status, text, time.Since(began)}
		}()
	}
	s.db.AwaitLockWaits(t, 8) // all connections for writes
	for path, want := range map[string]string{"/v1/activities": id.String(), "/v1/activities/" + id.String(): "queued", "/v1/stats": `"active":2`, "/readyz": `"ready":true`} {
		require.Contains(t, s.call(t, http.MethodGet, path, "", 200), want)
	}
	so := s.open(t)
	so.subscribe(t, other, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.lines(t, 0, 1)
	require.Empty(t, answers, "none has given up before the reads were answered")

	waited := 0
	for range cancels {
		a := <-answers
		require.Equal(t, http.StatusServiceUnavailable, a.status, a.text)
		require.Less(t, a.took, 8*time.Second)
		if strings.Contains(a.text, `"code":"55P03"`) {
			waited++
		}
	}
	require.GreaterOrEqual(t, waited, 8, "others may have waited for a connection")
	release()
	s.call(t, http.MethodPost, "/v1/activities/"+id.String()+"/cancel", "", 200)
}

// TestLockedActivityBehindPgBouncer: the bound holds where the session's own settings do not.
func TestLockedActivityBehindPgBouncer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pooled := pgtest.PgBouncer(t, db.URL)
	s := start(t, db, func(cfg *sidecar.Config) { cfg.DatabaseURL = pooled })
	id, release := s.locked(t)
	defer release()
	text := s.call(t, http.MethodPost, "/v1/activities/"+id.String()+"/logs", `{"message":"x"}`, 503)
	require.Contains(t, text, `"code":"55P03"`)
	s.call(t, http.MethodGet, "/v1/activities/"+id.String(), "", 200)
}

// TestCancelPendingSkipsLocked: what is locked is skipped and counted; nothing is canceled without a filter.
func TestCancelPendingSkipsLocked(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, release := s.locked(t)
	defer release()
	s.create(t)
	for _, body := range []string{"", "{}", `{"agent_type":""}`, `{"metadata_filter":{}}`, `{"idle_for":"0s"}`, `{"all":false}`, `{"all":true,"agent_type":"research"}`} {
		text := s.call(t, http.MethodPost, "/v1/activities/cancel-pending", body, 422)
		require.Contains(t, text, `"code":"TA422"`)
	}
	got := s.call(t, http.MethodPost, "/v1/activities/cancel-pending", `{"agent_type":"research"}`, 200)
	require.JSONEq(t, `{"canceled":1,"skipped":1}`, got)
	release()
	got = s.call(t, http.MethodPost, "/v1/activities/cancel-pending", `{"all":true}`, 200)
	require.JSONEq(t, `{"canceled":1,"skipped":0}`, got)
}

// TestDetailPages: a detail is bounded, and next_after_seq goes on to the end.
func TestDetailPages(t *testing.T) {
	t.Parallel()
	s := setup(t)
	many, large := s.create(t), s.create(t)
	s.db.Exec(t, fmt.Sprintf(`select agentexec.append_logs(jsonb_agg(jsonb_build_object('agent_id', '%s', 'message', n::text))) from generate_series(1, 2500) n`, many))
	s.db.Exec(t, fmt.Sprintf(`select agentexec.append_logs(jsonb_agg(jsonb_build_object('agent_id', '%s', 'message', repeat('x', 1000000)))) from generate_series(1, 10) n`, large))
	for id, lines := range map[uuid.UUID]int{many: 2501, large: 11} {
		after, seen, pages := 0, 0, 0
		for next := true; next; pages++ {
			text := s.call(t, http.MethodGet, fmt.Sprintf("/v1/activities/%s?after_seq=%d", id, after), "", 200)
			require.Less(t, len(text), 5<<20)
			var page struct {
				Logs         []struct{ Seq int }
				NextAfterSeq *int `json:"next_after_seq"`
			}
			require.NoError(t, json.NewDecoder(strings.NewReader(text)).Decode(&page))
			require.LessOrEqual(t, len(page.Logs), 1000)
			for _, l := range page.Logs {
				seen++
				require.Equal(t, seen, l.Seq)
			}
			if next = page.NextAfterSeq != nil; next {
				after = *page.NextAfterSeq
			}
		}
		require.Equal(t, lines, seen)
		require.GreaterOrEqual(t, pages, 3)
	}
}
