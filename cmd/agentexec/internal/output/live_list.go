package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// LiveList shows a list that is kept up to date.
type LiveList interface {
	// Update shows the list as list_activities returns it.
	Update(answer json.RawMessage) error
	// Note shows a note about the list, unless it is "".
	Note(text string) error
	// Close ends the list. On a terminal its last state stays.
	Close()
}

// NewLiveList returns the LiveList for JSON, for a terminal, or for a pipe. Its notes go to errOut unless out is a terminal.
func NewLiveList(out *Screen, errOut io.Writer, asJSON bool) LiveList {
	switch {
	case asJSON:
		return &changeList{out: out, errOut: errOut, changed: jsonChanged, show: jsonChange}
	case out.Terminal:
		return &screenList{out: out}
	default:
		return &changeList{out: out, errOut: errOut, changed: rowChanged, show: rowChange}
	}
}

// screenList shows the list on a terminal, in place.
type screenList struct {
	out   *Screen
	lines []string
	shown bool
	text  string // the last note
}

const (
	alternateScreen = "\x1b[?1049h\x1b[?25l"
	normalScreen    = "\x1b[?25h\x1b[?1049l"
)

// Update implements LiveList.
func (l *screenList) Update(answer json.RawMessage) error {
	var list client.List
	if err := json.Unmarshal(answer, &list); err != nil {
		return err
	}
	l.lines = []string{"No activities."}
	if len(list.Items) > 0 {
		l.lines = l.out.rows(list.Items)
	}
	if note := strings.TrimSpace(PageNote(list)); len(list.Items) > 0 && note != "" {
		l.lines = append(l.lines, terminal.Clip(note, l.out.width()))
	}
	return l.draw()
}

// Note implements LiveList.
func (l *screenList) Note(text string) error {
	if text == "" {
		return nil
	}
	l.text = text
	return l.draw()
}

// draw replaces what is on the screen. Its last row is for the note.
func (l *screenList) draw() error {
	var b strings.Builder
	if !l.shown {
		b.WriteString(alternateScreen)
		l.shown = true
	}
	b.WriteString("\x1b[H")
	for _, line := range l.lines[:min(len(l.lines), l.out.height()-2)] {
		b.WriteString(line + "\x1b[K\r\n")
	}
	note := l.text
	if note == "" {
		note = "Updated " + time.Now().Format(time.TimeOnly)
	}
	b.WriteString(terminal.Clip(note+"  Ctrl-C ends", l.out.width()) + "\x1b[J")
	if strings.HasPrefix(l.text, connectedAgain) {
		l.text = ""
	}
	_, err := fmt.Fprint(l.out, b.String())
	return err
}

// Close restores the screen, and leaves the last state of the list on it.
func (l *screenList) Close() {
	if l.shown {
		_, _ = fmt.Fprint(l.out, normalScreen+strings.Join(l.lines, "\n")+"\n")
	}
}

// changeList writes a line for each activity that is new, has changed or has left the list.
type changeList struct {
	out     *Screen
	errOut  io.Writer
	changed func(before, now known) bool
	show    func(out *Screen, of known, removed bool) error
	known   map[uuid.UUID]known
}

// known is an item as it was last written.
type known struct {
	item client.ListItem
	raw  json.RawMessage
}

// Update implements LiveList.
func (l *changeList) Update(answer json.RawMessage) error {
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return err
	}
	now := make(map[uuid.UUID]known, len(list.Items))
	for i := range list.Items {
		raw := list.Items[len(list.Items)-1-i] // the newest last, as in a log
		var item client.ListItem
		if err := json.Unmarshal(raw, &item); err != nil {
			return err
		}
		current := known{item, raw}
		now[item.AgentID] = current
		if before, ok := l.known[item.AgentID]; ok && !l.changed(before, current) {
			continue
		}
		if err := l.show(l.out, current, false); err != nil {
			return err
		}
	}
	for id, before := range l.known {
		if _, ok := now[id]; !ok {
			if err := l.show(l.out, before, true); err != nil {
				return err
			}
		}
	}
	l.known = now
	return nil
}

// jsonChanged reports whether the JSON is another. A heartbeat alone is no change.
func jsonChanged(before, now known) bool {
	before.item.LastSeenAt = now.item.LastSeenAt
	a, errA := json.Marshal(before.item)
	b, errB := json.Marshal(now.item)
	return errA != nil || errB != nil || !bytes.Equal(a, b)
}

func jsonChange(out *Screen, of known, removed bool) error {
	if removed {
		return out.JSON(json.RawMessage(fmt.Sprintf(`{"agent_id": "%s", "removed": true}`, of.item.AgentID)))
	}
	return out.JSON(of.raw)
}

// rowChanged reports whether the row is another, has a new line with the same text, or a child of it has begun or ended.
func rowChanged(before, now known) bool {
	return before.item.LastSeq != now.item.LastSeq || marked(before.item.Activity) != marked(now.item.Activity) || kindOf(before.item.Activity) != kindOf(now.item.Activity)
}

// changeWidths are the columns of a change: the longest mark, a percentage, a usual type, an id and an age.
var changeWidths = []int{len("RUNNING,stopping"), 4, 16, 36, 3}

func rowChange(out *Screen, of known, removed bool) error {
	cells := out.cells(of.item, of.item.AgentID.String())
	if removed {
		cells[0] = "-"
	}
	_, err := fmt.Fprintln(out, out.row(cells, changeWidths))
	return err
}

// Note implements LiveList.
func (l *changeList) Note(text string) error {
	if text == "" {
		return nil
	}
	_, err := fmt.Fprintln(l.errOut, "agentexec: "+text)
	return err
}

// Close implements LiveList.
func (l *changeList) Close() {}
