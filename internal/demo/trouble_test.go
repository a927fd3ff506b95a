package demo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// trouble is a pace at which activities go wrong at once, and one worker is silent for as long as a test runs.
var trouble = Config{Agents: 1, Duration: time.Hour, Pause: time.Millisecond, Abandoned: time.Hour, TroubleEvery: time.Millisecond, SilentFor: time.Hour}

func of(kind string, status client.Status) func(client.ListItem) bool {
	return func(item client.ListItem) bool { return item.AgentType == kind && item.Status == status }
}

func TestAnActivityOfTheDemoFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(trouble, parts(t, 1))
	failed := b.awaitAny(func(item client.ListItem) bool { return of(ArchiveName, client.StatusError)(item) && item.Attempt == 2 })
	require.Regexp(t, `^the archive is damaged after \d+\.\d kB: unexpected EOF$`, *failed.LatestLog)
	// There is no third attempt: the agent has gone on to the next activity.
	b.awaitAny(of(UploadName, client.StatusRunning))
	require.Equal(t, client.StatusError, b.detail(failed.AgentID).Status)
}

func TestAWorkerOfTheDemoFallsSilent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	config := trouble
	config.SilentFor = 2 * silentAfter
	b.run(config, parts(t, 1))
	silent := b.awaitAny(func(item client.ListItem) bool { return of(UploadName, client.StatusRunning)(item) && item.Stale })
	b.awaitAny(func(item client.ListItem) bool {
		return item.AgentID == silent.AgentID && item.Status == client.StatusComplete
	})
}

// TestCancelOfASilentWorker: it sees the request when it is back, and ends its activity itself.
func TestCancelOfASilentWorker(t *testing.T) {
	t.Parallel()
	b := setup(t)
	config := trouble
	config.SilentFor = silentAfter
	b.run(config, parts(t, 1))
	silent := b.awaitAny(of(UploadName, client.StatusRunning))
	_, err := b.c.Cancel(t.Context(), silent.AgentID, "Enough", client.WithoutForce())
	require.NoError(t, err)
	b.awaitAny(func(item client.ListItem) bool {
		return item.AgentID == silent.AgentID && item.Status == client.StatusCanceled && !item.Cancel.Forced
	})
	require.Equal(t, "Stopped as requested", *b.awaitAny(of(UploadName, client.StatusCanceled)).LatestLog)
}

func TestStopCancelsASilentWorker(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.run(trouble, parts(t, 1))
	silent := b.awaitAny(of(UploadName, client.StatusRunning))
	stop()
	require.Equal(t, client.StatusCanceled, b.detail(silent.AgentID).Status)
}
