package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// listPause is the time between two reads of a list that is kept up to date.
const listPause = time.Second

// watchList keeps a list up to date until ctx ends.
func watchList(ctx context.Context, s *settings.Reader, cmd *cobra.Command, out *screen, filter listFlags, asJSON bool) error {
	src, err := connect.Source(ctx, s, cmd, nil)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer src.Close()
	var w listWatch
	switch {
	case asJSON:
		w = &listChanges{out: out, errOut: cmd.ErrOrStderr(), changed: jsonChanged, show: jsonChange}
	case out.terminal:
		w = &listScreen{out: out}
	default:
		w = &listChanges{out: out, errOut: cmd.ErrOrStderr(), changed: rowChanged, show: rowChange}
	}
	defer w.close()
	var outage outage
	for began := false; ; began = true {
		params, err := filter.params(ctx, src)
		var answer json.RawMessage
		if err == nil {
			answer, err = src.ListJSON(ctx, params)
		}
		switch {
		case ctx.Err() != nil:
			return &exit.Error{Code: exit.CodeInterrupted}
		case err != nil && (!began || source.Lasting(err)):
			return err
		case err != nil:
			err = w.note(outage.lost(err))
		default:
			if err = w.note(outage.again()); err == nil {
				err = w.update(answer)
			}
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return &exit.Error{Code: exit.CodeInterrupted}
		case <-time.After(listPause):
		}
	}
}

// listWatch shows a list that is kept up to date.
type listWatch interface {
	update(answer json.RawMessage) error
	note(text string) error // "" is no note
	close()
}

// listScreen shows the list on a terminal, in place.
type listScreen struct {
	out   *screen
	lines []string
	shown bool
	text  string // the last note
}

const (
	alternateScreen = "\x1b[?1049h\x1b[?25l"
	normalScreen    = "\x1b[?25h\x1b[?1049l"
)

func (l *listScreen) update(answer json.RawMessage) error {
	var list client.List
	if err := json.Unmarshal(answer, &list); err != nil {
		return err
	}
	l.lines = []string{"No activities."}
	if len(list.Items) > 0 {
		l.lines = l.out.rows(list.Items)
	}
	if note := strings.TrimSpace(pageNote(list)); len(list.Items) > 0 && note != "" {
		l.lines = append(l.lines, terminal.Clip(note, l.out.width()))
	}
	return l.draw()
}

func (l *listScreen) note(text string) error {
	if text == "" {
		return nil
	}
	l.text = text
	return l.draw()
}

// draw replaces what is on the screen. Its last row is for the note.
func (l *listScreen) draw() error {
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

// close restores the screen, and leaves the last state of the list on it.
func (l *listScreen) close() {
	if l.shown {
		_, _ = fmt.Fprint(l.out, normalScreen+strings.Join(l.lines, "\n")+"\n")
	}
}

// listChanges writes a line for each activity that is new, has changed or has left the list.
type listChanges struct {
	out     *screen
	errOut  io.Writer
	changed func(before, now known) bool
	show    func(out *screen, of known, removed bool) error
	known   map[uuid.UUID]known
}

// known is an item as it was last written.
type known struct {
	item client.ListItem
	raw  json.RawMessage
}

func (l *listChanges) update(answer json.RawMessage) error {
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

func jsonChange(out *screen, of known, removed bool) error {
	if removed {
		return out.json(json.RawMessage(fmt.Sprintf(`{"agent_id": "%s", "removed": true}`, of.item.AgentID)))
	}
	return out.json(of.raw)
}

// rowChanged reports whether the row is another, has a new line with the same text, or a child of it has begun or ended.
func rowChanged(before, now known) bool {
	return before.item.LastSeq != now.item.LastSeq || marked(before.item.Activity) != marked(now.item.Activity) || kindOf(before.item.Activity) != kindOf(now.item.Activity)
}

// changeWidths are the columns of a change: the longest mark, a percentage, a usual type, an id and an age.
var changeWidths = []int{len("RUNNING,stopping"), 4, 16, 36, 3}

func rowChange(out *screen, of known, removed bool) error {
	cells := out.cells(of.item, of.item.AgentID.String())
	if removed {
		cells[0] = "-"
	}
	_, err := fmt.Fprintln(out, out.row(cells, changeWidths))
	return err
}

func (l *listChanges) note(text string) error {
	if text == "" {
		return nil
	}
	_, err := fmt.Fprintln(l.errOut, "agentexec: "+text)
	return err
}

func (l *listChanges) close() {}
