package main

import (
	"net/http"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLimitsDocumentNamesMetrics holds the table in docs/limits.md to /metrics: each limit by its name there, with its default
// where that is a number.
func TestLimitsDocumentNamesMetrics(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/limits.md")
	require.NoError(t, err)
	c := setup(t)
	_, url := c.serve(t, "--addr", "127.0.0.1:0")
	_, metrics := get(t, url+"/metrics")
	rows := regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| `([a-z_]+)` \\| ([^|]+) \\|").FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, rows)
	for _, row := range rows {
		usual := row[3]
		if seconds, err := time.ParseDuration(usual); err == nil {
			usual = strconv.Itoa(int(seconds.Seconds()))
		}
		if _, err := strconv.Atoi(usual); err == nil {
			require.Regexp(t, `(?m)^agentexec_limit\{limit="`+row[2]+`"\} `+usual+`$`, asNumbers(metrics))
		}
		require.Contains(t, metrics, `agentexec_over_limit_total{limit="`+row[2]+`"} 0`)
	}
}

// asNumbers writes 2.097152e+06 as 2097152.
func asNumbers(metrics string) string {
	return regexp.MustCompile(`[0-9.]+e\+[0-9]+`).ReplaceAllStringFunc(metrics, func(text string) string {
		f, _ := strconv.ParseFloat(text, 64)
		return strconv.FormatFloat(f, 'f', -1, 64)
	})
}

// TestLimitsAreSet: by flag, by variable, and off.
func TestLimitsAreSet(t *testing.T) {
	t.Parallel()
	c := setup(t).with("AGENTEXEC_MAX_SOCKETS=7", "AGENTEXEC_BODY_TIMEOUT=1m", "AGENTEXEC_MAX_CONNECTIONS=100")
	server, url := c.serve(t, "--addr", "127.0.0.1:0", "--max-page-size", "60", "--max-requests-per-second", "off", "--max-sockets", "8")
	_, metrics := get(t, url+"/metrics")
	for name, value := range map[string]string{"sockets": "8", "body_timeout": "60", "connections": "100", "page_size": "60", "requests_per_second": "-1"} {
		require.Contains(t, metrics, `agentexec_limit{limit="`+name+`"} `+value+"\n")
	}
	code, text := get(t, url+"/v1/activities?page_size=61")
	require.Equal(t, http.StatusUnprocessableEntity, code)
	require.Contains(t, text, "between 1 and 60 here, got 61")
	server.signal(t, syscall.SIGTERM)
	require.NoError(t, server.cmd.Wait())
}
