package top

import (
	"errors"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

const (
	// tailLines is how many of the last lines an opened activity shows, maxLines how many it keeps while it grows.
	tailLines = 300
	maxLines  = 2000
)

// detail is the open activity with the tail of its log.
type detail struct {
	id       uuid.UUID
	activity *client.Activity // nil before the first read of a session
	lines    []client.Log
	after    int // the lines up to this seq are read, or left out
	gone     bool
	wrap     bool
	up       int // lines scrolled up from the end; 0 follows the end
}

// openDetail opens the selected activity.
func (m *model) openDetail() tea.Cmd {
	a := m.current()
	if a == nil {
		return nil
	}
	open := *a
	m.detail = detail{id: a.AgentID, activity: &open, after: max(0, a.LastSeq-tailLines), wrap: m.detail.wrap}
	m.page = detailPage
	return m.readSoon()
}

// detailKey handles a key of the details.
func (m *model) detailKey(name string) tea.Cmd {
	d := &m.detail
	half := max(1, m.height/2)
	switch name {
	case "esc", "left", "h", "backspace":
		m.page = tablePage
	case "w":
		d.wrap = !d.wrap
	case "k", "up":
		d.up++
	case "j", "down":
		d.up--
	case "pgup", "ctrl+b", "ctrl+u":
		d.up += half
	case "pgdown", "space", "ctrl+f", "ctrl+d":
		d.up -= half
	case "g", "home":
		d.up = maxLines * maxWrapped // the drawing bounds it
	case "G", "end", "f":
		d.up = 0
	}
	d.up = max(d.up, 0)
	return nil
}

// params returns which lines to read next.
func (d *detail) params(metadata bool) *client.DetailParams {
	return &client.DetailParams{AfterSeq: d.after, LogLimit: new(1000), IncludeMetadata: metadata}
}

// take takes the answer to a read.
func (d *detail) take(msg readMsg) {
	if errors.Is(msg.err, client.ErrNotFound) {
		d.gone = true
		return
	}
	if !d.activity.CreatedAt.Equal(msg.detail.CreatedAt) { // deleted and made again
		*d = detail{id: d.id, wrap: d.wrap, activity: &msg.detail.Activity, after: max(0, msg.detail.LastSeq-tailLines)}
		return
	}
	d.gone, d.activity = false, &msg.detail.Activity
	for _, line := range msg.detail.Logs {
		if line.Seq > d.after {
			d.lines, d.after = append(d.lines, shortened(line)), line.Seq
		}
	}
	if cut := len(d.lines) - maxLines; cut > 0 {
		d.lines = append([]client.Log(nil), d.lines[cut:]...)
	}
}

// maxMessage and maxData bound what is kept of a line, in bytes. A screen shows less.
const maxMessage, maxData = 16 << 10, 64 << 10

// shortened returns a line that takes little memory.
func shortened(line client.Log) client.Log {
	if len(line.Message) > maxMessage {
		line.Message = strings.ToValidUTF8(line.Message[:maxMessage], "") + " …"
	}
	if len(line.Data) > maxData {
		line.Data = nil
	}
	return line
}

// failure returns the line of the last error of an activity in ERROR, nil where it is not among the lines.
func (d *detail) failure() *client.Log {
	if d.activity.Status != client.StatusError {
		return nil
	}
	for i := len(d.lines) - 1; i >= 0; i-- {
		if i == 0 || d.lines[i].Status == client.StatusError && d.lines[i-1].Status != client.StatusError {
			return &d.lines[i]
		}
	}
	return nil
}

// startOfAttempt returns when the attempt of a line began, as far as its lines are here.
func (d *detail) startOfAttempt(attempt int) (at time.Time, known bool) {
	for i, line := range d.lines {
		if line.Attempt == attempt {
			return line.CreatedAt, i > 0 || line.Seq == 1
		}
	}
	return time.Time{}, false
}
