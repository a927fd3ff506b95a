package match

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Items that no list holds or may be reading are not due, and a list that has left leaves nothing behind.
func TestParentsForgetLists(t *testing.T) {
	t.Parallel()
	p, parent, root := NewParents[string](), uuid.New(), uuid.New()
	child := []Activity{{AgentID: uuid.New(), ParentAgentID: parent, RootAgentID: root}}
	require.False(t, p.Note(child))

	p.Begin("read")
	require.True(t, p.Note(child))
	due, lists, reading := p.Take()
	require.Len(t, due, 2)
	require.Empty(t, lists)
	require.Equal(t, []string{"read"}, reading)

	p.Holds("read", []uuid.UUID{root}, nil)
	p.End("read")
	require.True(t, p.Note(child))
	due, lists, reading = p.Take()
	require.Len(t, due, 1)
	require.Contains(t, lists, "read")
	require.Empty(t, reading)

	p.Holds("read", nil, []uuid.UUID{root})
	require.False(t, p.Note(child))
	require.Empty(t, p.due)
	require.Empty(t, p.holders)
	require.Empty(t, p.reading)
}
