package output

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// StillWriting is the note about an activity of which WritesOn is true.
const StillWriting = "still writing after it was canceled"

// marked returns the status of an activity with its marks: stopping while a cancel is requested, stale, waiting for a person.
func marked(a client.Activity) string {
	text := a.Status.String()
	if stopping(a) {
		text += ",stopping"
	}
	if a.Stale {
		text += ",stale"
	}
	if a.OpenQuestions > 0 && !stopping(a) {
		text += ",waiting"
	}
	return text
}

// kindOf returns the type of an activity, and how many of its children have finished: research (3/12).
func kindOf(a client.Activity) string {
	kind := terminal.Printable(a.AgentType)
	if c := a.Children; c != nil {
		kind += childrenText(*c)
	}
	return kind
}

// childrenText returns how many children have finished, behind a space.
func childrenText(c client.Children) string {
	return fmt.Sprintf(" (%d/%d)", c.Complete+c.Error+c.Canceled, c.Total)
}

// stopping reports whether a cancel is requested of a worker that has not ended the activity yet.
func stopping(a client.Activity) bool { return a.Cancel != nil && a.FinishedAt == nil }

// WritesOn reports whether an activity has a line that was written after it was canceled.
func WritesOn(a client.Activity) bool {
	return a.Status == client.StatusCanceled && a.FinishedAt != nil && a.UpdatedAt.After(*a.FinishedAt)
}

// notes returns a note if a line begins a new attempt, and one if it is the first line after a cancel was requested. previous is
// the line before, or the zero value where that is not known.
func notes(previous, line client.Log) (all []string) {
	if line.Attempt > max(previous.Attempt, 1) {
		all = append(all, fmt.Sprintf("attempt %d", line.Attempt))
	}
	if line.CancelRequested && !previous.CancelRequested && !line.Status.IsFinished() {
		var data struct {
			RequestedBy string `json:"requested_by"`
		}
		note := "cancel requested"
		if json.Unmarshal(line.Data, &data) == nil && data.RequestedBy != "" {
			note += " by " + terminal.Printable(data.RequestedBy)
		}
		all = append(all, note)
	}
	return all
}

// Annotated prints a line, on a terminal with its notes behind it.
func (s *Screen) Annotated(previous, line client.Log) error {
	if err := s.line(line); err != nil || !s.Terminal {
		return err
	}
	for _, note := range notes(previous, line) {
		if err := s.note(note); err != nil {
			return err
		}
	}
	return nil
}

// note prints a note on a terminal, below the messages of the lines.
func (s *Screen) note(text string) error {
	_, err := fmt.Fprintf(s, "%32s%s\n", "", s.Paint(client.StatusCanceled, "("+text+")"))
	return err
}

// Activity prints the state of an activity, and an empty line.
func (s *Screen) Activity(a client.Activity) error {
	var b strings.Builder
	row := func(name, value string) { fmt.Fprintf(&b, "%-10s %s\n", name, value) }
	at := func(name string, t *time.Time, more string) {
		if t != nil {
			row(name, moment(*t)+more)
		}
	}
	row("agent_id", a.AgentID.String())
	row("type", terminal.Printable(a.AgentType))
	status := s.Paint(a.Status, a.Status.String())
	if a.LatestPercentage != nil {
		status += "  " + percent(a.LatestPercentage)
	}
	if a.Attempt > 1 {
		status += fmt.Sprintf("  attempt %d", a.Attempt)
	}
	row("status", status)
	if len(a.Metadata) > 0 {
		row("metadata", terminal.Printable(string(a.Metadata)))
	}
	if a.ParentAgentID != nil {
		row("parent", a.ParentAgentID.String())
		if a.RootAgentID != nil && *a.RootAgentID != *a.ParentAgentID {
			row("root", a.RootAgentID.String())
		}
	}
	if c := a.Children; c != nil {
		row("children", fmt.Sprintf("%d: %d queued, %d running, %d complete, %d error, %d canceled  %d%%",
			c.Total, c.Queued, c.Running, c.Complete, c.Error, c.Canceled, c.Percentage))
	}
	if a.OpenQuestions > 0 {
		row("waiting", terminal.Counted(a.OpenQuestions, "question waits", "questions wait")+" for an answer: agentexec questions "+a.AgentID.String())
	}
	at("created", &a.CreatedAt, "")
	at("started", a.StartedAt, "")
	at("updated", &a.UpdatedAt, "")
	if a.ExpectEvery != 0 {
		more := fmt.Sprintf("  expected every %s", a.ExpectEvery.Duration())
		if a.Stale {
			more += "  stale"
		}
		at("last seen", &a.LastSeenAt, more)
	}
	if a.Cancel != nil {
		row("cancel", cancelState(a))
	}
	at("finished", a.FinishedAt, "")
	if WritesOn(a) {
		row("", StillWriting)
	}
	_, err := fmt.Fprintf(s, "%s\n", b.String())
	return err
}

// moment returns a time in the zone of this machine, and how long ago it was.
func moment(t time.Time) string {
	return fmt.Sprintf("%s  (%s ago)", t.Local().Format(personTime), terminal.Ago(time.Since(t)))
}

// cancelState returns the request to cancel an activity as one line of text.
func cancelState(a client.Activity) string {
	request := *a.Cancel
	text := fmt.Sprintf("requested in line %d", request.Seq)
	if request.RequestedBy != nil {
		text += " by " + terminal.Printable(*request.RequestedBy)
	}
	switch {
	case request.Forced:
		text += "  forced"
	case a.FinishedAt == nil:
		text += "  " + ForcedAt(request, time.Local, personTime)
	}
	return text
}

// ForcedAt returns the text for when a request is forced, with the time in that zone and layout.
func ForcedAt(request client.CancelRequest, zone *time.Location, layout string) string {
	if request.ForceAt == nil {
		return "never forced"
	}
	return "forced at " + request.ForceAt.In(zone).Format(layout) + " unless it ends before"
}
