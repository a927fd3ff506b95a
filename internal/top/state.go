package top

import (
	"fmt"
	"strings"
	"time"

	"github.com/agentexec/agentexec/pkg/client"
)

// state is how an activity is shown: the first that holds of stopping, waiting and stale, else its status.
type state int

const (
	queued state = iota
	running
	stopping
	waiting // for the answer of a person
	silent  // stale, which counts as RUNNING too
	complete
	failed
	canceled
)

// looks are the name of each state, its symbol and its group.
var looks = [...]struct {
	name, symbol string
	group        group
}{
	queued:   {"queued", "◌", queuedGroup},
	running:  {"running", "◐", runningGroup},
	stopping: {"stopping", "◉", runningGroup},
	waiting:  {"waiting", "?", needsMe},
	silent:   {"stale", "▲", needsMe},
	complete: {"complete", "✓", finishedGroup},
	failed:   {"error", "✗", failedGroup},
	canceled: {"canceled", "⊘", finishedGroup},
}

// stateOf returns the state of an activity.
func stateOf(a client.Activity) state {
	switch a.Status {
	case client.StatusComplete:
		return complete
	case client.StatusError:
		return failed
	case client.StatusCanceled:
		return canceled
	}
	switch {
	case a.Status == client.StatusRunning && a.Cancel != nil:
		return stopping
	case a.OpenQuestions > 0:
		return waiting
	case a.Status == client.StatusQueued:
		return queued
	case a.Stale:
		return silent
	}
	return running
}

func stateNamed(name string) (state, bool) {
	for s, look := range looks {
		if look.name == name {
			return state(s), true
		}
	}
	return 0, false
}

// statuses returns the statuses that the activities in a state may have.
func (s state) statuses() []client.Status {
	switch s {
	case running, stopping, silent:
		return []client.Status{client.StatusRunning}
	case waiting:
		return []client.Status{client.StatusRunning, client.StatusQueued}
	}
	return []client.Status{client.Status(strings.ToUpper(looks[s].name))}
}

// group is a part of the table with a head of its own.
type group int

const (
	needsMe group = iota
	runningGroup
	queuedGroup
	failedGroup
	finishedGroup
)

var groupNames = [...]string{"Needs me", "Running", "Queued", "Failed", "Finished"}

// reason returns the words before the latest line that say why an activity needs attention, "" for none.
func reason(a client.Activity, now time.Time) string {
	switch stateOf(a) {
	case waiting:
		return "Waits for you"
	case silent:
		return "Silent for " + roughly(now.Sub(a.LastSeenAt))
	case stopping:
		if a.Cancel.ForceAt == nil {
			return "Stopping"
		}
		left := a.Cancel.ForceAt.Sub(now)
		if left <= 0 {
			return "Stopping, time is over"
		}
		return "Stopping, " + roughly(left) + " left"
	}
	return ""
}

// roughly returns a duration with one unit: 12 s, 4 min, 3 h, 2 d.
func roughly(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// took returns a duration in at most 7 columns: 41s, 14m 08s, 2h 03m, 3d 04h.
func took(d time.Duration) string {
	d = max(d, 0)
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 99:
		return fmt.Sprintf("%dd", days)
	case days > 0:
		return fmt.Sprintf("%dd %02dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh %02dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm %02ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}

// duration returns how long an activity has run, or ran; a queued one waits.
func duration(a client.Activity, now time.Time) time.Duration {
	from := a.CreatedAt
	if a.StartedAt != nil {
		from = *a.StartedAt
	}
	if a.FinishedAt != nil {
		now = *a.FinishedAt
	}
	return now.Sub(from)
}

// latest returns the latest line of an item.
func latest(item client.ListItem) string {
	if item.LatestLog == nil {
		return ""
	}
	return *item.LatestLog
}
