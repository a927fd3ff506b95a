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

func TestParseAgentID(t *testing.T) {
	t.Parallel()
	const usual = "01234567-89ab-cdef-0123-456789abcdef"
	for _, good := range []string{usual, "01234567-89AB-CDEF-0123-456789abcdef"} {
		id, err := client.ParseAgentID(good)
		require.NoError(t, err)
		require.Equal(t, usual, id.String())
	}
	for _, bad := range []string{"", "x", usual[1:], usual + "0", "{" + usual + "}", "urn:uuid:" + usual, "0123456789abcdef0123456789abcdef", " " + usual} {
		_, err := client.ParseAgentID(bad)
		require.ErrorIs(t, err, client.ErrInvalid, bad)
	}
}

func TestParseStatusFold(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"RUNNING", "running", "Running"} {
		s, err := client.ParseStatusFold(name)
		require.NoError(t, err)
		require.Equal(t, client.StatusRunning, s)
	}
	for _, name := range []string{"", "DONE", " RUNNING", "runn\u0131ng"} {
		_, err := client.ParseStatusFold(name)
		require.ErrorIs(t, err, client.ErrInvalid, name)
	}
}
