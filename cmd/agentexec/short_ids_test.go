package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCommandsTakeShortIDs: every command takes the first digits of an id, with the hyphens or without, in any case.
func TestCommandsTakeShortIDs(t *testing.T) {
	t.Parallel()
	c := setup(t)
	const id, twin, other = "abcdef01-2345-4000-8000-000000000001", "abcdef01-2346-4000-8000-000000000001", "fedcba98-2345-4000-8000-000000000001"
	for _, id := range []string{id, twin, other} {
		c.ok(t, "create", "research", "--agent-id", id)
	}
	c.ok(t, "log", "abcdef01-2345", "Go", "--status", "RUNNING")
	require.Equal(t, "RUNNING", c.ok(t, "heartbeat", "ABCDEF012345"))
	require.Contains(t, c.ok(t, "show", "abcdef01-2345-4"), "agent_id   "+id)
	require.Contains(t, c.ok(t, "cancel", "abcdef01-2345"), "requested")
	c.ok(t, "complete", "abcdef01-2345")
	require.Contains(t, c.run(t, "watch", "abcdef01-2345").stdout, "COMPLETE")
	c.ok(t, "error", "fedc")

	for _, command := range []string{"log ID x", "complete ID", "error ID", "cancel ID", "heartbeat ID", "show ID", "watch ID"} {
		args := func(id string) []string { return strings.Fields(strings.ReplaceAll(command, "ID", id)) }
		require.Contains(t, c.refused(t, 1, args("0000")...), "no activity", command)
		require.Contains(t, c.refused(t, 2, args("abcdef01-234")...), "abcdef01", command)
		for _, wrong := range []string{"abc", "abcdefgh", id + "0", "ab-c"} {
			require.Contains(t, c.refused(t, 2, args(wrong)...), "must be a UUID", command)
		}
	}
}
