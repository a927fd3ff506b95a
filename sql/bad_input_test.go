package sql_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// refusal is a call that must fail with the code, all the words in its message, and nothing written.
type refusal struct {
	call  string // after "select agentexec."
	args  []any
	code  string
	words []string
}

func requireRefusals(t *testing.T, b *bundle, refusals []refusal) {
	t.Helper()
	before := contents(t, b.pool)
	for _, r := range refusals {
		_, err := b.pool.Exec(t.Context(), "select agentexec."+r.call, r.args...)
		require.Error(t, err, r.call)
		require.Equal(t, r.code, code(err), "%s: %v", r.call, err)
		for _, word := range r.words {
			require.ErrorContains(t, err, word, r.call)
		}
		require.Equal(t, before, contents(t, b.pool), r.call)
	}
}

func TestEveryDoorRefusesABadLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	before := contents(t, b.pool)
	for _, d := range doors {
		for _, percentage := range []int{-1, 101, math.MaxInt32, math.MinInt32} {
			err := d.write(t.Context(), b.pool, line{agent: agent, message: "x", percentage: &percentage})
			requireRefused(t, err, "TA422", "percentage", "between 0 and 100", fmt.Sprint(percentage))
		}
		for _, message := range []string{strings.Repeat("x", 1048577), strings.Repeat("é", 524288) + "x"} {
			err := d.write(t.Context(), b.pool, line{agent: agent, message: message})
			requireRefused(t, err, "TA422", "message", "1048576 bytes", "1048577")
		}
		err := d.write(t.Context(), b.pool, line{agent: uuid.New(), message: "x"})
		requireRefused(t, err, "TA404", "no activity")
		require.Equal(t, before, contents(t, b.pool), d.name)
	}
	_, err := b.pool.Exec(t.Context(), `insert into agentexec.activity_log (activity_id) select id from agentexec.activity`)
	requireRefused(t, err, "TA422", "message", "null")
	_, err = b.pool.Exec(t.Context(), `insert into agentexec.activity_log (message) values ('x')`)
	requireRefused(t, err, "TA404", "null")
	require.Equal(t, before, contents(t, b.pool))
}

func TestEveryDoorTakesALineAtItsBounds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	for _, d := range doors {
		for _, message := range []string{"", strings.Repeat("x", 1048576), strings.Repeat("é", 524288)} {
			for _, percentage := range []int{0, 100} {
				require.NoError(t, d.write(t.Context(), b.pool, line{agent: agent, message: message, percentage: &percentage}))
				got := readActivity(t, b.pool, agent)
				require.Equal(t, percentage, *got.LatestPercentage)
				require.Equal(t, message, readLine(t, b.pool, agent, got.LastSeq).Message)
			}
		}
	}
}

func TestWritersRefuseBadArguments(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent, long, unknown := b.in("RUNNING"), strings.Repeat("x", 1048577), uuid.New()
	isLong := []string{"message", "1048576 bytes", "1048577"}
	requireRefusals(t, b, []refusal{
		{"create_activity(null)", nil, "TA422", []string{"task_name", "agent_type", "1 to 255 characters", "null"}},
		{"create_activity('')", nil, "TA422", []string{"task_name", "agent_type", "1 to 255 characters", "0"}},
		{"create_activity($1)", []any{strings.Repeat("x", 256)}, "TA422", []string{"1 to 255 characters", "256"}},
		{"create_activity($1)", []any{strings.Repeat("é", 256)}, "TA422", []string{"1 to 255 characters", "256"}},
		{"create_activity('x', null)", nil, "TA422", []string{"message", "null"}},
		{"create_activity('x', $1)", []any{long}, "TA422", isLong},
		{"create_activity('x', metadata => '[]')", nil, "TA422", []string{"metadata", "object", "array"}},
		{"create_activity('x', metadata => '[{}]')", nil, "TA422", []string{"metadata", "object", "array"}},
		{"create_activity('x', metadata => '1')", nil, "TA422", []string{"metadata", "object", "number"}},
		{"create_activity('x', metadata => '\"{}\"')", nil, "TA422", []string{"metadata", "object", "string"}},
		{"create_activity('x', metadata => 'true')", nil, "TA422", []string{"metadata", "object", "boolean"}},

		{"append_log($1, null)", []any{agent}, "TA422", []string{"message", "null"}},
		{"append_log(null, 'x')", nil, "TA404", []string{"null"}},
		{"append_log($1, 'x', 101)", []any{unknown}, "TA422", []string{"percentage"}}, // the argument is looked at first
		{"append_log($1, 'x', 101, 'COMPLETE')", []any{agent}, "TA422", []string{"percentage"}},
		{"append_log($1, $2, status => 'COMPLETE')", []any{agent, long}, "TA422", isLong},

		{"complete($1, percentage => 101)", []any{agent}, "TA422", []string{"percentage", "between 0 and 100", "101"}},
		{"complete($1, percentage => -1)", []any{agent}, "TA422", []string{"percentage", "between 0 and 100", "-1"}},
		{"complete($1, null)", []any{agent}, "TA422", []string{"message", "null"}},
		{"complete($1, $2)", []any{agent, long}, "TA422", isLong},
		{"error($1, null)", []any{agent}, "TA422", []string{"message", "null"}},
		{"error($1, $2)", []any{agent, long}, "TA422", isLong},
		{"cancel($1, null)", []any{agent}, "TA422", []string{"message", "null"}},
		{"cancel($1, $2)", []any{agent, long}, "TA422", isLong},
		{"cancel(null)", nil, "TA404", []string{"null"}},

		{"cancel_pending(message => null)", nil, "TA422", []string{"message", "null"}},
		{"cancel_pending(message => $1)", []any{long}, "TA422", isLong},
		{"cancel_pending(metadata_filter => '[]')", nil, "TA422", []string{"metadata_filter", "object", "array"}},
		{"cancel_pending(metadata_filter => '1')", nil, "TA422", []string{"metadata_filter", "object", "number"}},
		{"cancel_pending(idle_for => '-1 second')", nil, "TA422", []string{"idle_for", "negative"}},
		{"cancel_pending(idle_for => '1 day -25 hours')", nil, "TA422", []string{"idle_for", "negative"}},
	})
}

func TestReadersRefuseBadArguments(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	var refusals []refusal
	for _, page := range []any{0, -1, math.MinInt32, nil} {
		refusals = append(refusals, refusal{"list_activities(page => $1)", []any{page}, "TA422", []string{"page ", "at least 1"}})
	}
	for _, size := range []any{0, -1, 1001, math.MaxInt32, nil} {
		refusals = append(refusals, refusal{"list_activities(page_size => $1)", []any{size}, "TA422",
			[]string{"page_size", "between 1 and 1000"}})
	}
	for _, after := range badCursors {
		refusals = append(refusals, refusal{"list_activities(after => $1)", []any{after}, "TA422", []string{"after", "next"}})
	}
	for _, call := range []string{"list_activities(", "activity_detail($2, ", "count_active(", "count_by_status("} {
		args := []any{[]byte(`[1]`)}
		if strings.Contains(call, "$2") {
			args = append(args, agent)
		}
		refusals = append(refusals, refusal{call + "metadata_filter => $1)", args, "TA422",
			[]string{"metadata_filter", "object", "array"}})
	}
	refusals = append(refusals,
		refusal{"activity_detail($1, after_seq => -1)", []any{agent}, "TA422", []string{"after_seq", "at least 0", "-1"}},
		refusal{"activity_detail($1, after_seq => null)", []any{agent}, "TA422", []string{"after_seq", "at least 0", "null"}},
		refusal{"activity_detail($1, log_limit => -1)", []any{agent}, "TA422", []string{"log_limit", "at least 0", "-1"}},
	)
	requireRefusals(t, b, refusals)

	b.exec("select agentexec.list_activities(page_size => 1000)")
	b.exec("select agentexec.list_activities(page => 2147483647, page_size => 1000)")
}

const cursorID = "0f8fad5b-d9cb-469f-a165-70867728950e"

var badCursors = []string{
	"", " ", "x", "null", "..", "2", "2.1", "2.1.", "0.0." + cursorID[1:], "3.1." + cursorID, "-1.1." + cursorID, "2.1.5." + cursorID,
	"2.." + cursorID, "2.1e3." + cursorID, "2.--1." + cursorID, "2.999999999999999999." + cursorID, " 2.1." + cursorID,
	"2.1." + cursorID + " ", "2.1." + cursorID + "\n", "2.1.\n" + cursorID, "2.1." + strings.ToUpper(cursorID), "2.1.{" + cursorID + "}",
	"2.1." + strings.ReplaceAll(cursorID, "-", ""), "2.1." + cursorID + "'; drop table agentexec.activity; --", "2,1," + cursorID,
	"2.1." + cursorID + "\n2.1." + cursorID, "٢.1." + cursorID, "2.१." + cursorID, strings.Repeat("2", 100000),
}
