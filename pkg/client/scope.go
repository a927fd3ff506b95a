package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Scope is the part of all activities that a caller may see and change. Each given field narrows it, and all of them must
// match; the zero value contains everything. Activities outside the scope are invisible: lists and counts omit them, and
// reads and writes of one return ErrNotFound.
//
// Its JSON is the value of the session setting agentexec.scope, which the SQL functions obey (see docs/access.md).
type Scope struct {
	// AgentIDs are the activities in the scope. nil does not narrow; empty leaves nothing.
	AgentIDs []uuid.UUID `json:"agent_ids,omitzero"`
	// AgentTypes are the task names in the scope. nil does not narrow; empty leaves nothing.
	AgentTypes []string `json:"agent_types,omitzero"`
	// Metadata narrows to activities whose metadata has an equal value for every key; see NumberOrText for values that are
	// only known as text. nil and empty do not narrow.
	Metadata map[string]any `json:"-"`
	// MetadataAny narrows to activities whose metadata has an equal value for every key of at least one of these objects, 1
	// to 16. nil does not narrow. Only one of Metadata and MetadataAny may be given. In JSON both are "metadata", an object
	// or an array.
	MetadataAny []map[string]any `json:"-"`
}

// scopeJSON is the JSON form of a Scope.
type scopeJSON struct {
	AgentIDs   []uuid.UUID `json:"agent_ids,omitzero"`
	AgentTypes []string    `json:"agent_types,omitzero"`
	Metadata   any         `json:"metadata,omitempty"`
}

// IsZero reports whether the scope contains everything.
func (s Scope) IsZero() bool {
	return s.AgentIDs == nil && s.AgentTypes == nil && len(s.Metadata) == 0 && s.MetadataAny == nil
}

// MarshalJSON implements json.Marshaler.
func (s Scope) MarshalJSON() ([]byte, error) {
	metadata, err := s.filter()
	if err != nil {
		return nil, err
	}
	return json.Marshal(scopeJSON{s.AgentIDs, s.AgentTypes, metadata})
}

// UnmarshalJSON implements json.Unmarshaler. Numbers stay as they are written.
func (s *Scope) UnmarshalJSON(data []byte) error {
	var metadata json.RawMessage
	scope := scopeJSON{Metadata: &metadata}
	if err := json.Unmarshal(data, &scope); err != nil {
		return err
	}
	*s = Scope{AgentIDs: scope.AgentIDs, AgentTypes: scope.AgentTypes}
	if metadata == nil {
		return nil
	}
	var into any = &s.Metadata
	if bytes.HasPrefix(bytes.TrimSpace(metadata), []byte("[")) {
		into = &s.MetadataAny
	}
	d := json.NewDecoder(bytes.NewReader(metadata))
	d.UseNumber()
	return d.Decode(into)
}

// filter returns the scope's metadata filter, nil for none.
func (s Scope) filter() (any, error) {
	switch {
	case len(s.Metadata) > 0 && s.MetadataAny != nil:
		return nil, errors.New("only one of Metadata and MetadataAny may be given")
	case s.MetadataAny != nil:
		return sorted(s.MetadataAny)
	case len(s.Metadata) > 0:
		all, err := alternatives(s.Metadata)
		if err != nil {
			return nil, err
		}
		return sorted(all)
	}
	return nil, nil
}

// String returns the scope as JSON, "" for everything. Scopes with the same content, in whatever order, give the same text,
// so it may be the key of a cache. Metadata that cannot be written as JSON gives a text that is no scope, and that Postgres
// rejects.
func (s Scope) String() string {
	if s.IsZero() {
		return ""
	}
	s.AgentIDs = slices.Clone(s.AgentIDs)
	slices.SortFunc(s.AgentIDs, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	s.AgentIDs = slices.Compact(s.AgentIDs)
	s.AgentTypes = slices.Clone(s.AgentTypes)
	slices.Sort(s.AgentTypes)
	s.AgentTypes = slices.Compact(s.AgentTypes)
	text, err := s.MarshalJSON()
	if err != nil {
		return fmt.Sprintf("not a scope: %v", err)
	}
	return string(text)
}

// WithScope returns the same client narrowed to a scope: all its calls, Watch included, behave as if no other activities
// existed. The scope replaces an earlier one of the client, and the session's. The zero scope means the session's, and so
// everything unless the session has one.
//
// A narrowed call takes one round trip, like any other, and does not change the scope of the session, or of a transaction
// around it. It returns ErrInvalid when Metadata cannot be written as JSON.
func (c *Client) WithScope(s Scope) *Client {
	in := *c
	in.scope = s.String()
	return &in
}

// NumberOrText is a value of a metadata filter or of Scope.Metadata that came as plain text, as from a command line or a URL.
// If the text is a JSON number, activities with that number match, and activities with the text as a string; otherwise only
// activities with the string. This holds for a member of the filter itself; nested deeper, the value is a string.
type NumberOrText string

// MetadataValue returns the value of KEY=VALUE in a filter or scope: true, false and null are JSON; 42 is the number 42 or
// the string; text in double quotes is the string between them, and any other text is a string.
func MetadataValue(text string) any {
	switch {
	case text == "true", text == "false", text == "null":
		return json.RawMessage(text)
	case len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"':
		return text[1 : len(text)-1]
	}
	return NumberOrText(text)
}

// maxAlternatives bounds the objects of a filter; at least one of them must match.
const maxAlternatives = 16

// alternatives returns a filter in its form for SQL: the object, or an array of the objects that its NumberOrText values
// stand for; nil for nil. It rejects a filter with more than four that are numbers (ErrInvalid).
func alternatives(filter map[string]any) (any, error) {
	if filter == nil {
		return nil, nil
	}
	all := []map[string]any{filter}
	for _, key := range slices.Sorted(maps.Keys(filter)) {
		text, ok := filter[key].(NumberOrText)
		if !ok || !isNumber(string(text)) {
			continue
		}
		if 2*len(all) > maxAlternatives {
			return nil, fmt.Errorf("at most 4 values may be a number or a text, because each doubles what must be looked for (at most %d)", maxAlternatives)
		}
		for _, object := range all {
			number := maps.Clone(object)
			number[key] = json.Number(text)
			all = append(all, number)
		}
	}
	if len(all) == 1 {
		return filter, nil
	}
	return all, nil
}

// isNumber reports whether a text is a JSON number that Postgres can store within the bounds of metadata.
func isNumber(text string) bool {
	if text == "" || len(text) > 1000 || !strings.ContainsRune("-0123456789", rune(text[0])) || !json.Valid([]byte(text)) {
		return false
	}
	_, exponent, scaled := strings.Cut(strings.ToLower(text), "e")
	n, err := strconv.Atoi(exponent)
	return !scaled || err == nil && n >= -1000 && n <= 1000
}

// sorted returns a filter with the keys of every object in order, also from a json.RawMessage or a struct, and with
// alternatives in order, each once; nil where it requires nothing.
func sorted(filter any) (any, error) {
	text, err := json.Marshal(filter)
	if err != nil {
		return nil, err
	}
	var value any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	all, ok := value.([]any)
	if !ok {
		return value, nil
	}
	texts := make([]string, len(all))
	for i, object := range all {
		text, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		if texts[i] = string(text); texts[i] == "{}" {
			return nil, nil
		}
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	return json.RawMessage("[" + strings.Join(texts, ",") + "]"), nil
}
