package client_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

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
