package output

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// TestViewOfStoppingActivity: the bar counts down to the force by the clock of the database.
func TestViewOfStoppingActivity(t *testing.T) {
	t.Parallel()
	out, b := onTerminal()
	now := time.Now()
	v := NewView(out, io.Discard, client.Activity{
		Status: client.StatusRunning, CreatedAt: now, UpdatedAt: now.Add(time.Hour), Cancel: &client.CancelRequest{Seq: 3, ForceAt: new(now.Add(time.Hour + 25*time.Minute))},
	})
	v.Last.Message = "Reading"
	require.NoError(t, v.Redraw())
	require.Regexp(t, ` stopping, forced in (25m0s|24m5\ds)  Reading$`, b.String())
	v.Activity.Cancel.ForceAt = nil
	b.Reset()
	require.NoError(t, v.Redraw())
	require.Regexp(t, ` stopping  Reading$`, b.String())
}

// TestMarksHaveNoColor: a status has its colour in the list, the marks behind it have none.
func TestMarksHaveNoColor(t *testing.T) {
	t.Parallel()
	out, b := onTerminal()
	out.colors = true
	require.NoError(t, out.Table([]client.ListItem{{Activity: client.Activity{Status: client.StatusRunning, Stale: true}}}))
	require.Contains(t, b.String(), "\x1b[36mRUNNING\x1b[0m,stale ")
}
