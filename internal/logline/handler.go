package logline

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"
)

// handler adds the records of slog as lines, as documented by Run.Logger.
type handler struct {
	level  slog.Leveler
	add    Add
	groups []string     // the open ones
	before []groupAttrs // of WithAttrs
}

// NewHandler returns a handler that adds records from the level on.
func NewHandler(level slog.Leveler, add Add) slog.Handler { return &handler{level: level, add: add} }

// groupAttrs are attributes in a group.
type groupAttrs struct {
	groups []string
	attrs  []slog.Attr
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	in := *h
	in.before = append(slices.Clip(h.before), groupAttrs{h.groups, attrs})
	return &in
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	in := *h
	in.groups = append(slices.Clip(h.groups), name)
	return &in
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, record slog.Record) error {
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
	data := Encode(root)
	if len(data) > MaxData {
		data = Encode(map[string]any{slog.LevelKey: record.Level.String(), "rejected": fmt.Sprintf("data of %d bytes, over %d", len(data), MaxData)})
	}
	return h.add(ctx, Line{Message: Message(record.Message), Data: data})
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
