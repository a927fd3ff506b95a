package sql_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

// FuzzCursor: whatever comes as a cursor is a place in the list or refused as a bad argument.
func FuzzCursor(f *testing.F) {
	for _, cursor := range badCursors {
		f.Add(cursor)
	}
	for _, cursor := range []string{"2.1." + cursorID, "0.-62135596800000000." + cursorID, "1.99999999999999999." + cursorID,
		"1.-99999999999999999." + cursorID, "0.00000000000000000." + cursorID} {
		f.Add(cursor)
	}
	conn := pgtest.New(f).Conn(f) // made here: on a slow machine a server takes longer to start than one input may
	f.Fuzz(func(t *testing.T, cursor string) {
		_, err := conn.Exec(t.Context(), "select agentexec.list_activities(after => $1)", cursor)
		if err != nil {
			require.Contains(t, []string{"TA422", "22021"}, code(err), "%v", err) // 22021: not UTF-8
		}
	})
}

// FuzzEntries: whatever JSON comes as entries of append_logs is written or refused with one of the contract's codes.
func FuzzEntries(f *testing.F) {
	for _, entries := range []string{`[]`, `{}`, `null`, `[null]`, `[[]]`, `[{}]`, `[{"agent_id": "` + cursorID + `", "message": "x"}]`,
		`[{"agent_id": "` + cursorID + `", "message": "x", "percentage": 1e1, "status": "RUNNING", "data": {"a": [1]}}]`,
		`[{"agent_id": 1, "message": [], "percentage": "1", "status": {}}]`, `[{"agent_id": "x", "agent_id": null, "message": ""}]`,
		`[{"agent_id": "` + cursorID + `", "message": "x", "percentage": 1e400}]`, `"\ud800"`, `[{"message": "\u0000"}]`} {
		f.Add(entries)
	}
	conn := pgtest.New(f).Conn(f) // as above
	f.Fuzz(func(t *testing.T, entries string) {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
		_, err = tx.Exec(t.Context(), "select agentexec.create_activity('x', agent_id => $1)", cursorID)
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "select agentexec.append_logs($1::text::jsonb)", entries)
		if err != nil {
			// The other codes are the cast's: what is no JSON never reaches the function.
			require.Contains(t, []string{"TA422", "TA404", "TA409", "22P02", "22P05", "22021", "22003", "54001"}, code(err), "%v", err)
		}
	})
}
