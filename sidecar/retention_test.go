package sidecar_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// startLogged starts a sidecar and returns its log.
func startLogged(t *testing.T, db *pgtest.Database) (*service, *logtest.Buffer) {
	t.Helper()
	logged := &logtest.Buffer{}
	return start(t, db, func(c *sidecar.Config) { c.Logger = slog.New(slog.NewTextHandler(logged, nil)) }), logged
}

const noRule = "there is no retention rule"

// TestRetentionIsSaidAtStart: without a rule the log says so once, with the size of the tables; with a rule it does not.
func TestRetentionIsSaidAtStart(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, logged := startLogged(t, db)
	require.Eventually(t, func() bool { return strings.Contains(logged.String(), noRule) }, patience, 20*time.Millisecond)
	require.Regexp(t, noRule+`.* activity_bytes=\d{5,} activity_log_bytes=\d{5,}\n`, logged.String())
	require.Equal(t, 1, strings.Count(logged.String(), noRule))
	require.Contains(t, logged.String(), "agentexec retention set 30d")
	require.NoError(t, s.c.SetRetention(t.Context(), client.RetentionRule{Keep: client.Seconds(24 * time.Hour)}))
	s.stop()

	s, logged = startLogged(t, db)
	require.Eventually(t, func() bool { return s.metric(t, "agentexec_retention_rules") == 1 }, patience, 20*time.Millisecond)
	s.stop()
	require.NotContains(t, logged.String(), noRule)
}

// TestRetentionMetrics: size, estimated rows, the oldest end and the rules are read for a scrape.
func TestRetentionMetrics(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	first := start(t, db)
	for range 3 {
		_, err := first.c.Complete(t.Context(), first.create(t), "")
		require.NoError(t, err)
	}
	first.create(t)
	first.stop()
	db.Exec(t, "update agentexec.activity set created_at = created_at - interval '2 days', finished_at = finished_at - interval '1 day' where id = (select id from agentexec.activity where finished_at is not null limit 1)")
	db.Exec(t, "analyze agentexec.activity, agentexec.activity_log")
	s := start(t, db)
	require.Eventually(t, func() bool { return s.metric(t, "agentexec_retention_rules") == 0 }, patience, 20*time.Millisecond)
	require.Equal(t, 4.0, s.metric(t, `agentexec_table_rows{table="activity"}`))     //nolint:testifylint // a count
	require.Equal(t, 7.0, s.metric(t, `agentexec_table_rows{table="activity_log"}`)) //nolint:testifylint // a count
	require.InDelta(t, 86400, s.metric(t, "agentexec_oldest_finished_seconds"), 600)
	for _, table := range []string{"activity", "activity_log"} {
		var bytes float64
		require.NoError(t, db.Conn(t).QueryRow(t.Context(), "select pg_total_relation_size('agentexec."+table+"')::float8").Scan(&bytes))
		require.InDelta(t, bytes, s.metric(t, `agentexec_table_bytes{table="`+table+`"}`), 1<<20)
		require.Greater(t, bytes, 0.0)
	}
}

// TestRetentionReadIsCheap: the sizes come from the catalog and the oldest end from an index, however many activities there are.
func TestRetentionReadIsCheap(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := start(t, db)
	_, err := s.c.Complete(t.Context(), s.create(t), "")
	require.NoError(t, err)
	db.Exec(t, "analyze agentexec.activity")
	conn := db.Conn(t)
	_, err = conn.Exec(t.Context(), "set enable_seqscan = off")
	require.NoError(t, err)
	plan, err := conn.Query(t.Context(), "explain "+strings.ReplaceAll(sidecar.StorageSQL, "$schema", "agentexec"))
	require.NoError(t, err)
	var text strings.Builder
	for plan.Next() {
		var line string
		require.NoError(t, plan.Scan(&line))
		text.WriteString(line + "\n")
	}
	require.NoError(t, plan.Err())
	require.Contains(t, text.String(), "activity_finished_idx")
	require.NotContains(t, text.String(), "Seq Scan on activity")
}

// TestRetentionDeletes: a sidecar deletes what a rule says, with one line of its log for each sweep that did, and counts the rows.
func TestRetentionDeletes(t *testing.T) {
	t.Parallel()
	s, logged := startLogged(t, pgtest.New(t))
	for range 3 {
		_, err := s.c.Complete(t.Context(), s.create(t), "")
		require.NoError(t, err)
	}
	kept := s.create(t)
	_, err := s.c.Ask(t.Context(), kept, client.Question{Key: "k", Prompt: "Go on?", ExpiresIn: time.Second})
	require.NoError(t, err)
	require.NoError(t, s.c.SetRetention(t.Context(), client.RetentionRule{Keep: client.Seconds(time.Second)}))
	s.await(t, "agentexec_pruned_rows_total", 9)
	s.await(t, "agentexec_expired_questions_total", 1)
	_, err = s.c.Detail(t.Context(), kept, client.DetailParams{})
	require.NoError(t, err)
	const deleted = "deleted what the retention rules say"
	before := s.metric(t, "agentexec_sweep_seconds_count")
	require.Eventually(t, func() bool { return s.metric(t, "agentexec_sweep_seconds_count") > before+1 }, patience, 100*time.Millisecond)
	require.Regexp(t, deleted+`" rows=\d+\n`, logged.String())
	require.LessOrEqual(t, strings.Count(logged.String(), deleted), 3)
	require.Contains(t, logged.String(), `"closed questions whose time was over" questions=1`)
}

// TestRetentionWithoutTheRight: a role that may not read the rules gets one warning, and the other metrics.
func TestRetentionWithoutTheRight(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "alter table agentexec.retention rename to kept_away")
	s, logged := startLogged(t, db)
	require.Eventually(t, func() bool { return strings.Contains(logged.String(), "cannot read whether there is a retention rule") }, patience, 20*time.Millisecond)
	require.Equal(t, -1.0, s.metric(t, "agentexec_retention_rules")) //nolint:testifylint // the value for unknown
	require.Zero(t, s.metric(t, "agentexec_subscriptions"))
}
