package settings

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLimitsDocument holds the table in docs/limits.md to the code: each limit once, with its default where that is a number.
func TestLimitsDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../../docs/limits.md")
	require.NoError(t, err)
	rows := regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| `([a-z_]+)` \\| ([^|]+) \\|").FindAllStringSubmatch(string(text), -1)
	require.Len(t, rows, len(limits))
	for i, row := range rows {
		require.Equal(t, limits[i].name, row[1])
		require.Equal(t, strings.NewReplacer("max-", "", "-", "_").Replace(row[1]), row[2])
		usual := row[3]
		if seconds, err := time.ParseDuration(usual); err == nil {
			usual = strconv.Itoa(int(seconds.Seconds()))
		}
		if _, err := strconv.Atoi(usual); err == nil {
			require.Equal(t, limits[i].usual, row[3])
		}
	}
}
