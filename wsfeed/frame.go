package wsfeed

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"github.com/agentexec/agentexec/wsfeed/internal/memory"
)

// frame is one message to a client, encoded once. One frame may go to thousands of sockets.
type frame struct {
	kind string // the message's type
	id   int    // the last seq in it, 0 where it carries none (an SSE id)
	wire []byte // a WebSocket's text frame: its head, and the JSON
	body []byte // the JSON, in the same memory
	// committedAt is the CommittedAt of the newest line, 0 where there is none or it is not known.
	committedAt int64
	stale       bool        // the value of stale in its state
	hold        memory.Hold // counts the frame for the sockets that write it
}

// headRoom is the longest head of a WebSocket's frame from a server: no mask, and 8 bytes of length.
const headRoom = 10

// newFrame completes the frame that head began.
func newFrame(kind string, id int, b []byte) *frame {
	n, at := len(b)-headRoom, 0
	switch {
	case n < 126:
		at = headRoom - 2
		b[at+1] = byte(n)
	case n < 1<<16:
		at = headRoom - 4
		b[at+1] = 126
		binary.BigEndian.PutUint16(b[at+2:], uint16(n))
	default:
		b[at+1] = 127
		binary.BigEndian.PutUint64(b[at+2:], uint64(n))
	}
	b[at] = 0x80 | websocket.TextMessage // the message has no other frame
	return &frame{kind: kind, id: id, wire: b[at:], body: b[headRoom:]}
}

// head begins a message: room for the frame's head, the type, and the subscription's name where it has one.
func head(kind, sub string, size int) []byte {
	b := make([]byte, headRoom, headRoom+size+len(sub)+64)
	b = append(b, `{"type":"`...)
	b = append(b, kind...)
	b = append(b, '"')
	if sub != "" {
		name, _ := json.Marshal(sub) // a string always marshals
		b = append(append(b, `,"sub":`...), name...)
	}
	return b
}

// welcomeFrame is the first frame of a connection. now is the time of the database, so that a browser does not compute ages with
// its own clock.
func welcomeFrame(now time.Time) *frame {
	b := append(head("welcome", "", 0), `,"protocol":"`+Protocol+`","time":"`...)
	return newFrame("welcome", 0, append(now.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z"), `"}`...))
}

func plainFrame(kind, sub string) *frame {
	return newFrame(kind, 0, append(head(kind, sub, 0), '}'))
}

func errorFrame(sub, code, message string) *frame {
	text, _ := json.Marshal(message)
	b := head("error", sub, len(text)+64)
	b = append(b, `,"code":"`+code+`","message":`...)
	return newFrame("error", 0, append(append(b, text...), '}'))
}

func snapshotFrame(sub string, activity json.RawMessage) *frame {
	b := append(head("snapshot", sub, len(activity)), `,"activity":`...)
	return newFrame("snapshot", 0, append(append(b, activity...), '}'))
}

// logsFrame carries lines in seq order, at least one, and the activity's state as last read.
func logsFrame(sub string, state State, lines []Line) *frame {
	size := len(state.JSON) + 32
	for _, l := range lines {
		size += len(l.JSON) + 1
	}
	b := append(head("logs", sub, size), `,"activity":`...)
	b = append(append(b, state.JSON...), `,"logs":[`...)
	for i, l := range lines {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, l.JSON...)
	}
	newest := lines[len(lines)-1]
	f := newFrame("logs", newest.Seq, append(b, `]}`...))
	f.committedAt, f.stale = newest.CommittedAt, state.Stale
	return f
}

// stateFrame announces that an activity became stale, or is no longer stale, without a line.
func stateFrame(sub string, state State) *frame {
	b := append(head("state", sub, len(state.JSON)), `,"activity":`...)
	f := newFrame("state", 0, append(append(b, state.JSON...), '}'))
	f.stale = state.Stale
	return f
}

func endFrame(sub string, state State) *frame {
	b := append(head("end", sub, 64), `,"status":"`+state.Status+`","last_seq":`...)
	return newFrame("end", state.LastSeq, append(strconv.AppendInt(b, int64(state.LastSeq), 10), '}'))
}

// gapFrame announces that the lines between afterSeq and nextSeq cannot be delivered: "pruned" (they were deleted), or
// "reset" (the client has lines that the database does not confirm; its lines from nextSeq on are void).
func gapFrame(sub string, afterSeq, nextSeq int, reason string) *frame {
	b := append(head("gap", sub, 64), `,"after_seq":`...)
	b = append(strconv.AppendInt(b, int64(afterSeq), 10), `,"next_seq":`...)
	b = strconv.AppendInt(b, int64(nextSeq), 10)
	return newFrame("gap", nextSeq-1, append(b, `,"reason":"`+reason+`"}`...))
}

// listFrame is a list's snapshot or changes.
func listFrame(sub string, update *listUpdate) *frame {
	size := 40*len(update.removed) + len(update.counts) + 64
	for _, item := range update.items {
		size += len(item.json) + 1
	}
	b := append(head(update.kind, sub, size), `,"items":[`...)
	for i, item := range update.items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, item.json...)
	}
	b = append(b, ']')
	if update.kind == "changes" {
		b = append(b, `,"removed":[`...)
		for i, id := range update.removed {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, '"'), id...), '"')
		}
		b = append(b, ']')
	}
	b = append(b, `,"counts":`...)
	if update.counts == nil {
		b = append(b, "{}"...) // they could not be read yet
	}
	b = append(b, update.counts...)
	return newFrame(update.kind, 0, append(b, '}'))
}
