// Package logline makes lines of a log from text (Writer), from records of slog (NewHandler) and from values. It cuts them to the
// bounds of a line, and replaces what Postgres cannot store. It stores nothing, but passes each line on.
//
// May import: nothing of this module.
package logline

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxMessage is the largest message of a line, in bytes.
	maxMessage = 1 << 20
	// MaxData is the largest data of a line, in bytes of its text.
	MaxData = 1 << 20
)

// Line is a line that is not stored yet.
type Line struct {
	Message    string
	Data       json.RawMessage
	Percentage *int
	// End is true for the last line of a run. What it says is known when it is stored.
	End bool
}

// Add takes a line. It waits for room until ctx ends.
type Add func(ctx context.Context, line Line) error

// Message returns the message of one line: the text as Clean returns it, cut to the bound of a message.
func Message(text string) string { return firstPiece(Clean(text)) }

// Clean returns text that Postgres can store: NUL and invalid UTF-8 become U+FFFD.
func Clean(text string) string {
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "\ufffd")
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

// firstPiece returns as much of the valid text as one message holds.
func firstPiece(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	size := maxMessage
	for !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}

// Encode writes an object whose values json.Marshal can write.
func Encode(object map[string]any) json.RawMessage {
	data, err := json.Marshal(object)
	if err != nil { // a RawMessage that is not valid JSON
		data, _ = json.Marshal(map[string]any{"rejected": err.Error()}) //nolint:errchkjson // a text
	}
	return CleanJSON(data)
}

// CleanJSON replaces NUL and halves of surrogate pairs by U+FFFD: JSON can have them, but Postgres cannot store them.
func CleanJSON(data json.RawMessage) json.RawMessage {
	if !bytes.Contains(data, []byte(`\u0000`)) && !bytes.Contains(bytes.ToLower(data), []byte(`\ud`)) {
		return data
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return data
	}
	text, err := json.Marshal(cleanValue(value)) // Unmarshal has made U+FFFD of the surrogates
	if err != nil {
		return data
	}
	return text
}

// cleanValue applies Clean to all texts in a value.
func cleanValue(value any) any {
	switch value := value.(type) {
	case string:
		return Clean(value)
	case []any:
		for i := range value {
			value[i] = cleanValue(value[i])
		}
	case map[string]any:
		for _, key := range slices.Collect(maps.Keys(value)) {
			inner := cleanValue(value[key])
			delete(value, key)
			value[Clean(key)] = inner
		}
	}
	return value
}
