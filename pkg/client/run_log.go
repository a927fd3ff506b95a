package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"
)

// maxData is the largest data of a line, in bytes of its text.
const maxData = 1 << 20

// Logger returns a logger that stores every record as a line of the activity: its message, and its attributes in data. Groups
// are objects in data, data.level is the record's level ("INFO"; an attribute of that name is replaced). Durations are text
// ("1.5s"), errors their text. A message over 1 MiB is cut, and data over 1 MiB is replaced by its size. Records below
// RunParams.LogLevel are dropped. The time of a line is that of the server.
//
// A record is stored within moments, or when the buffer is flushed; see Client.Run.
func (r *Run) Logger() *slog.Logger { return slog.New(&logHandler{run: r}) }

// Log stores a line. It takes the options WithPercentage and WithData. It returns when the line is in the buffer of the
// run; ctx bounds the wait for room. Returns ErrInvalid for another option or data that cannot be written as JSON, and the
// errors of Flush when lines cannot be stored any more.
func (r *Run) Log(ctx context.Context, message string, opts ...UpdateOption) error {
	o := applyUpdate(opts)
	l := runLine{message: firstPiece(clean(message))}
	switch {
	case o.status != nil:
		return invalid("WithStatus does not go with Run.Log: the status follows from how the work ends")
	case o.atSeq != nil:
		return invalid("WithAtSeq does not go with Run.Log: the run numbers its lines")
	case o.percentage != nil && !(*o.percentage >= 0 && *o.percentage <= 100):
		return invalid(fmt.Sprintf("percentage must be between 0 and 100, got %v", *o.percentage))
	case o.percentage != nil:
		l.percentage = new(int(*o.percentage))
	}
	if o.data != nil {
		data, err := json.Marshal(o.data)
		if err != nil {
			return invalid(fmt.Sprintf("data cannot be written as JSON: %v", err))
		}
		if len(data) > maxData {
			return invalid(fmt.Sprintf("data must be at most %d bytes, got %d", maxData, len(data)))
		}
		l.data = cleanJSON(data)
	}
	return r.writer.add(ctx, l)
}

// Progress stores a line "12 of 40" with the percentage, rounded down; it is 100 where done is more than total. Returns
// ErrInvalid when total is not positive or done is negative, and otherwise the errors of Log.
func (r *Run) Progress(ctx context.Context, done, total int) error {
	if total <= 0 || done < 0 {
		return invalid(fmt.Sprintf("progress must be at least 0 of at least 1, got %d of %d", done, total))
	}
	percentage := 100
	if done < total {
		percentage = int(float64(done) / float64(total) * 100)
	}
	return r.writer.add(ctx, runLine{message: fmt.Sprintf("%d of %d", done, total), percentage: &percentage})
}

// logHandler is the handler of Run.Logger.
type logHandler struct {
	run    *Run
	groups []string     // the open ones
	before []groupAttrs // of WithAttrs
}

// groupAttrs are attributes in a group.
type groupAttrs struct {
	groups []string
	attrs  []slog.Attr
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.run.params.LogLevel.Level()
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	in := *h
	in.before = append(slices.Clip(h.before), groupAttrs{h.groups, attrs})
	return &in
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	in := *h
	in.groups = append(slices.Clip(h.groups), name)
	return &in
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	root := map[string]any{}
	for _, given := range h.before {
		for _, attr := range given.attrs {
			put(root, given.groups, attr)
		}
	}
	record.Attrs(func(attr slog.Attr) bool {
		put(root, h.groups, attr)
		return true
	})
	root[slog.LevelKey] = record.Level.String()
	data := encode(root)
	if len(data) > maxData {
		data = encode(map[string]any{slog.LevelKey: record.Level.String(), "rejected": fmt.Sprintf("data of %d bytes, over %d", len(data), maxData)})
	}
	return h.run.writer.add(ctx, runLine{message: firstPiece(clean(record.Message)), data: data})
}

// put stores an attribute in a group of root. It makes no group without an attribute.
func put(root map[string]any, groups []string, attr slog.Attr) {
	value := attr.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if attr.Key != "" {
			groups = append(slices.Clip(groups), attr.Key)
		}
		for _, inner := range value.Group() {
			put(root, groups, inner)
		}
		return
	}
	if attr.Key == "" && value.Any() == nil {
		return
	}
	for _, name := range groups {
		inner, ok := root[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			root[name] = inner
		}
		root = inner
	}
	root[attr.Key] = plain(value)
}

// plain returns a value that json.Marshal can write.
func plain(value slog.Value) any {
	switch value.Kind() {
	case slog.KindDuration:
		return value.Duration().String()
	case slog.KindTime:
		return value.Time().Format(time.RFC3339Nano)
	case slog.KindFloat64:
		if f := value.Float64(); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Sprint(f)
		}
	case slog.KindAny:
		return marshaled(value.Any())
	}
	return value.Any()
}

// marshaled returns the JSON of a value of any type, or the text of the failure.
func marshaled(value any) (data any) {
	defer func() {
		if thrown := recover(); thrown != nil { // in a method of the value
			data = fmt.Sprintf("!PANIC: %v", thrown)
		}
	}()
	if err, isError := value.(error); isError {
		if _, ok := value.(json.Marshaler); !ok {
			return err.Error()
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "!ERROR: " + err.Error()
	}
	return json.RawMessage(text)
}

// encode writes an object whose values json.Marshal can write.
func encode(object map[string]any) json.RawMessage {
	data, err := json.Marshal(object)
	if err != nil { // a RawMessage that is not valid JSON
		data, _ = json.Marshal(map[string]any{"rejected": err.Error()}) //nolint:errchkjson // a text
	}
	return cleanJSON(data)
}

// cleanJSON replaces NUL and halves of surrogate pairs by U+FFFD: JSON can have them, but Postgres cannot store them.
func cleanJSON(data json.RawMessage) json.RawMessage {
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

// cleanValue applies clean to all texts in a value.
func cleanValue(value any) any {
	switch value := value.(type) {
	case string:
		return clean(value)
	case []any:
		for i := range value {
			value[i] = cleanValue(value[i])
		}
	case map[string]any:
		for _, key := range slices.Collect(maps.Keys(value)) {
			inner := cleanValue(value[key])
			delete(value, key)
			value[clean(key)] = inner
		}
	}
	return value
}
