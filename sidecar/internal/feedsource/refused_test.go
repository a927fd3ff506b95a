package feedsource

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/wsfeed"
)

// TestRefused: which errors of Postgres come again however often a read is tried, and which pass.
func TestRefused(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"54000": "limit", "22003": "invalid", "22P02": "invalid", "TA422": "invalid",
		"57014": "", "57P01": "", "53300": "", "40001": "", "55P03": "", "08006": "", "42501": "", "XX000": "", "42883": "", // as while an upgrade replaces a function
	} {
		err := refused(&pgconn.PgError{Code: code, Message: "x"})
		refusal := (*wsfeed.Refusal)(nil)
		require.Equal(t, want != "", errors.As(err, &refusal), code)
		if want != "" {
			require.Equal(t, want, refusal.Code)
		}
	}
	require.ErrorContains(t, refused(&pgconn.PgError{Code: "XX000", Message: "invalid memory alloc request size 1073741824"}), "larger")
	passing := errors.New("connection reset")
	require.Equal(t, passing, refused(passing))
	require.NoError(t, refused(nil))
}
