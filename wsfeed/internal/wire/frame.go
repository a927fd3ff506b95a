// Package wire is the feed's protocol in bytes: it parses the messages of clients (Parse), and encodes the frames of the server, each
// once for all its sockets (Frame). docs/protocol.md describes both.
//
// May import: pkg/client, wsfeed/internal/match for the filter of a list, wsfeed/internal/memory for the bytes of a frame.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"github.com/agentexec/agentexec/wsfeed/internal/memory"
)

// Frame is one message to a client, encoded once. One frame may go to thousands of sockets.
type Frame struct {
	Kind string // the message's type
	ID   int    // the last seq in it, 0 where it carries none (an SSE id)
	Raw  []byte // a WebSocket's text frame: its head, and the JSON
	Body []byte // the JSON, in the same memory
	// CommittedAt is the CommittedAt of the newest line, 0 where there is none or it is not known.
	CommittedAt int64
	Stale       bool        // the value of stale in its state
	Hold        memory.Hold // counts the frame for the sockets that write it
}

// headRoom is the longest head of a WebSocket's frame from a server: no mask, and 8 bytes of length.
const headRoom = 10

// newFrame completes the frame that head began.
func newFrame(kind string, id int, b []byte) *Frame {
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
	return &Frame{Kind: kind, ID: id, Raw: b[at:], Body: b[headRoom:]}
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

// Welcome is the first frame of a connection. now is the time of the database, so that a browser does not compute ages with
// its own clock.
func Welcome(now time.Time) *Frame {
	b := append(head("welcome", "", 0), `,"protocol":"`+Protocol+`","time":"`...)
	return newFrame("welcome", 0, append(now.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z"), `"}`...))
}

// Plain is a frame that has only a type and, where it concerns a subscription, its name.
func Plain(kind, sub string) *Frame {
	return newFrame(kind, 0, append(head(kind, sub, 0), '}'))
}

// Error is an error; sub is "" where it concerns no subscription.
func Error(sub, code, message string) *Frame {
	text, _ := json.Marshal(message)
	b := head("error", sub, len(text)+64)
	b = append(b, `,"code":"`+code+`","message":`...)
	return newFrame("error", 0, append(append(b, text...), '}'))
}

// Snapshot carries an activity without its lines.
func Snapshot(sub string, activity json.RawMessage) *Frame {
	b := append(head("snapshot", sub, len(activity)), `,"activity":`...)
	return newFrame("snapshot", 0, append(append(b, activity...), '}'))
}

// Logs carries lines in seq order, at least one, and the activity's state as last read. text returns the JSON of a line; newest is
// the seq of the last one.
func Logs[L any](sub string, state json.RawMessage, lines []L, text func(L) json.RawMessage, newest int) *Frame {
	size := len(state) + 32
	for _, l := range lines {
		size += len(text(l)) + 1
	}
	b := append(head("logs", sub, size), `,"activity":`...)
	b = append(append(b, state...), `,"logs":[`...)
	return newFrame("logs", newest, append(appendAll(b, lines, text), `]}`...))
}

// appendAll appends the texts of all, with commas between them.
func appendAll[T any](b []byte, all []T, text func(T) json.RawMessage) []byte {
	for i, one := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, text(one)...)
	}
	return b
}

// State announces that an activity became stale, or is no longer stale, without a line.
func State(sub string, state json.RawMessage) *Frame {
	b := append(head("state", sub, len(state)), `,"activity":`...)
	return newFrame("state", 0, append(append(b, state...), '}'))
}

// End announces that the activity is finished and all its lines were sent.
func End(sub, status string, lastSeq int) *Frame {
	b := append(head("end", sub, 64), `,"status":"`+status+`","last_seq":`...)
	return newFrame("end", lastSeq, append(strconv.AppendInt(b, int64(lastSeq), 10), '}'))
}

// Gap announces that the lines between afterSeq and nextSeq cannot be delivered: "pruned" (they were deleted), or
// "reset" (the client has lines that the database does not confirm; its lines from nextSeq on are void).
func Gap(sub string, afterSeq, nextSeq int, reason string) *Frame {
	b := append(head("gap", sub, 64), `,"after_seq":`...)
	b = append(strconv.AppendInt(b, int64(afterSeq), 10), `,"next_seq":`...)
	b = strconv.AppendInt(b, int64(nextSeq), 10)
	return newFrame("gap", nextSeq-1, append(b, `,"reason":"`+reason+`"}`...))
}

// List is a list's "snapshot" or "changes". text returns the JSON of an item; removed are agent_ids, for changes alone; counts may be
// nil.
func List[I any](kind, sub string, items []I, text func(I) json.RawMessage, removed []string, counts json.RawMessage) *Frame {
	size := 40*len(removed) + len(counts) + 64
	for _, item := range items {
		size += len(text(item)) + 1
	}
	b := append(head(kind, sub, size), `,"items":[`...)
	b = append(appendAll(b, items, text), ']')
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
	b = append(b, `,"counts":`...)
	if counts == nil {
		b = append(b, "{}"...) // they could not be read yet
	}
	b = append(b, counts...)
	return newFrame(kind, 0, append(b, '}'))
}
