package sidecar_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sidecar"
)

// TestPprof: profiles are there when asked for, and never otherwise.
func TestPprof(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		s := setup(t, func(c *sidecar.Config) { c.Pprof = on })
		for _, path := range []string{"", "heap?debug=1", "goroutine?debug=1", "cmdline", "symbol"} {
			resp, err := http.Get(s.url + "/debug/pprof/" + path)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			_ = resp.Body.Close()
			if on {
				require.Equal(t, http.StatusOK, resp.StatusCode, path)
				continue
			}
			require.Equal(t, http.StatusNotFound, resp.StatusCode, path)
			require.NotContains(t, string(body), "goroutine")
		}
	}
}
