package wsfeed

import (
	"encoding/json"
	"strconv"
	"sync"

	"github.com/gorilla/websocket"
)

// frame is one message to a client, encoded once: as it is for SSE, prepared for WebSockets on first use. One frame
// may go to thousands of sockets.
type frame struct {
	kind string // the message's type
	id   int    // the last seq in it, 0 where it carries none (an SSE id)
	body []byte // the JSON
	// committedAt is that of the newest line, 0 where there is none or it is not known.
	committedAt int64

	once     sync.Once
	prepared *websocket.PreparedMessage
	err      error
}

func (f *frame) message() (*websocket.PreparedMessage, error) {
	f.once.Do(func() { f.prepared, f.err = websocket.NewPreparedMessage(websocket.TextMessage, f.body) })
	return f.prepared, f.err
}

// head begins a message: its type, and the subscription's name where it has one.
func head(kind, sub string, size int) []byte {
	b := make([]byte, 0, size+len(sub)+64)
	b = append(b, `{"type":"`...)
	b = append(b, kind...)
	b = append(b, '"')
	if sub != "" {
		name, _ := json.Marshal(sub) // a string always marshals
		b = append(append(b, `,"sub":`...), name...)
	}
	return b
}

func welcomeFrame() *frame {
	return &frame{kind: "welcome", body: append(head("welcome", "", 0), `,"protocol":"`+Protocol+`"}`...)}
}

func plainFrame(kind, sub string) *frame {
	return &frame{kind: kind, body: append(head(kind, sub, 0), '}')}
}

func errorFrame(sub, code, message string) *frame {
	text, _ := json.Marshal(message)
	b := head("error", sub, len(text)+64)
	b = append(b, `,"code":"`+code+`","message":`...)
	return &frame{kind: "error", body: append(append(b, text...), '}')}
}

func snapshotFrame(sub string, activity json.RawMessage) *frame {
	b := append(head("snapshot", sub, len(activity)), `,"activity":`...)
	return &frame{kind: "snapshot", body: append(append(b, activity...), '}')}
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
	return &frame{kind: "logs", id: newest.Seq, body: append(b, `]}`...), committedAt: newest.CommittedAt}
}

func endFrame(sub string, state State) *frame {
	b := append(head("end", sub, 64), `,"status":"`+state.Status+`","last_seq":`...)
	return &frame{kind: "end", id: state.LastSeq, body: append(strconv.AppendInt(b, int64(state.LastSeq), 10), '}')}
}

// gapFrame announces that the lines between afterSeq and nextSeq cannot be delivered: "pruned" (they were deleted),
// or "reset" (the client has seen more than the database confirms; what it has from nextSeq on is void).
func gapFrame(sub string, afterSeq, nextSeq int, reason string) *frame {
	b := append(head("gap", sub, 64), `,"after_seq":`...)
	b = append(strconv.AppendInt(b, int64(afterSeq), 10), `,"next_seq":`...)
	b = strconv.AppendInt(b, int64(nextSeq), 10)
	return &frame{kind: "gap", id: nextSeq - 1, body: append(b, `,"reason":"`+reason+`"}`...)}
}

// listFrame is a list's snapshot or changes.
func listFrame(kind, sub string, items []ListItem, removed []string, counts json.RawMessage) *frame {
	b := append(head(kind, sub, 4096), `,"items":[`...)
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, item.JSON...)
	}
	b = append(b, ']')
	if kind == "changes" {
		b = append(b, `,"removed":[`...)
		for i, id := range removed {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, '"'), id...), '"')
		}
		b = append(b, ']')
	}
	b = append(append(b, `,"counts":`...), counts...)
	return &frame{kind: kind, body: append(b, '}')}
}
