package client_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var names []string
	require.NoError(t, b.pool.QueryRow(b.ctx, "select enum_range(null::agentexec.status)::text[]").Scan(&names))
	var got []string
	for _, s := range client.Statuses() {
		got = append(got, s.String())
		parsed, err := client.ParseStatus(s.String())
		require.NoError(t, err)
		require.Equal(t, s, parsed)
	}
	require.Equal(t, names, got)
	require.Equal(t, []bool{false, false, true, false, true}, each(client.Status.IsFinal))
	require.Equal(t, []bool{false, false, true, true, true}, each(client.Status.IsFinished))
}

func each(is func(client.Status) bool) (got []bool) {
	for _, s := range client.Statuses() {
		got = append(got, is(s))
	}
	return got
}

func FuzzParseStatus(f *testing.F) {
	for _, s := range append(client.Statuses(), "", "queued", "RUNNING ", "DONE") {
		f.Add(s.String())
	}
	f.Fuzz(func(t *testing.T, name string) {
		s, err := client.ParseStatus(name)
		if err != nil {
			require.ErrorIs(t, err, client.ErrInvalid)
			require.Zero(t, s)
			return
		}
		require.Equal(t, name, s.String())
		require.Contains(t, client.Statuses(), s)
	})
}
