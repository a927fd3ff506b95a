package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

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
