package sidecar_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// metrics are the names in /metrics, with their kinds.
func (s *service) metrics(t *testing.T) map[string]string {
	t.Helper()
	resp, err := http.Get(s.url + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	all := make(map[string]string)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if name, kind, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "# TYPE "), " "); ok && strings.HasPrefix(lines.Text(), "# TYPE ") {
			all[name] = kind
		}
	}
	return all
}

// TestMetricsDocument holds the table in docs/metrics.md to the code: every metric of ours is in it, once, with its kind.
func TestMetricsDocument(t *testing.T) {
	t.Parallel()
	ours := setup(t).metrics(t)
	for name := range ours {
		if !strings.HasPrefix(name, "agentexec_") {
			delete(ours, name)
		}
	}
	text, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	documented := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\|").FindAllSubmatch(text, -1) {
		require.NotContains(t, documented, string(m[1]))
		documented[string(m[1])] = string(m[2])
	}
	require.Equal(t, ours, documented)
}

// TestDashboard: docs/grafana.json can be imported, and asks for nothing that /metrics does not have.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/grafana.json")
	require.NoError(t, err)
	type target struct {
		Expr       string
		Datasource struct{ UID string }
	}
	var board struct {
		Title, UID string
		Panels     []struct {
			ID      int
			Title   string
			Type    string
			Targets []target
			GridPos struct{ H, W, X, Y int }
		}
		Templating struct {
			List []struct{ Name, Type string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &board))
	require.NotEmpty(t, board.Title)
	require.NotEmpty(t, board.Panels)
	require.Equal(t, "datasource", board.Templating.List[0].Name)
	require.Equal(t, "datasource", board.Templating.List[0].Type)

	known := setup(t).metrics(t)
	ids, used := make(map[int]bool), make(map[string]bool)
	for _, p := range board.Panels {
		require.False(t, ids[p.ID], p.Title)
		ids[p.ID] = true
		require.NotEmpty(t, p.Targets, p.Title)
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for _, q := range p.Targets {
			require.Equal(t, "${datasource}", q.Datasource.UID, p.Title)
			names := regexp.MustCompile(`\b(?:agentexec|go|process)_[a-z_]+`).FindAllString(q.Expr, -1)
			require.NotEmpty(t, names, q.Expr)
			for _, name := range names {
				used[name] = true
				if known[name] == "" {
					name = regexp.MustCompile("_(bucket|sum|count)$").ReplaceAllString(name, "")
					require.Equal(t, "histogram", known[name], name)
				}
			}
		}
	}
	for name, kind := range known {
		if kind == "histogram" {
			name += "_bucket"
		}
		if strings.HasPrefix(name, "agentexec_") {
			require.Contains(t, used, name, "it is on no panel")
		}
	}
}

// TestLatencyAndLag: live lines are timed from commit to frame, replayed ones are not, and an idle tail has no lag.
func TestLatencyAndLag(t *testing.T) {
	t.Parallel()
	const frames = "agentexec_commit_to_frame_seconds_count"
	s := setup(t)
	id := s.create(t, "two", "three")
	so := s.open(t)
	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.lines(t, 0, 3)
	require.Zero(t, s.metric(t, frames))
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1) // the tail has a position: later lines are new
	s.append(t, id, "four")
	so.lines(t, 3, 1)
	s.await(t, frames, 1)
	require.Less(t, s.metric(t, "agentexec_commit_to_frame_seconds_sum"), 10.0)
	require.InDelta(t, 0, s.metric(t, "agentexec_clock_offset_seconds"), 1, "it is the same clock")
	s.await(t, "agentexec_lines_in_total", 1)
	s.await(t, "agentexec_tail_lag_rows", 0)
	s.await(t, "agentexec_tail_lag_seconds", 0)
	s.await(t, "agentexec_subscriptions", 1)
	s.await(t, "agentexec_sockets_behind", 0)
	require.Equal(t, 4.0, s.metric(t, `agentexec_frames_out_total{transport="websocket"}`)) //nolint:testifylint // a count
	require.Equal(t, 1.0, s.metric(t, `agentexec_catch_up_reads_total{kind="snapshot"}`))   //nolint:testifylint // a count
}
