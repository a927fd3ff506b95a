package source

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// answerSchema are the keywords of a JSON Schema that say in a few words what an answer is.
type answerSchema struct {
	Type       any                        `json:"type"`
	Enum       []json.RawMessage          `json:"enum"`
	Const      json.RawMessage            `json:"const"`
	Properties map[string]json.RawMessage `json:"properties"`
	Required   []string                   `json:"required"`
	Minimum    *json.Number               `json:"minimum"`
	Maximum    *json.Number               `json:"maximum"`
}

// Choices returns the JSON of the answers that the schema of a question allows, where these are few: those of an enum, or true and
// false. nil means that the schema allows other answers.
func Choices(schema json.RawMessage) []json.RawMessage {
	var s answerSchema
	if json.Unmarshal(schema, &s) != nil {
		return nil
	}
	switch {
	case len(s.Enum) > 0:
		return s.Enum
	case s.Const != nil:
		return []json.RawMessage{s.Const}
	case s.Type == "boolean":
		return []json.RawMessage{json.RawMessage("true"), json.RawMessage("false")}
	}
	return nil
}

// IsText reports whether the schema of a question allows nothing but a string.
func IsText(schema json.RawMessage) bool {
	var s answerSchema
	return json.Unmarshal(schema, &s) == nil && s.Type == "string"
}

// Expects returns in a few words which answer the schema of a question allows: true|false, integer 1..5, {"count": integer}.
func Expects(schema json.RawMessage) string {
	var s answerSchema
	if json.Unmarshal(schema, &s) != nil {
		return "JSON"
	}
	if choices := Choices(schema); choices != nil {
		texts := make([]string, len(choices))
		for i, choice := range choices {
			texts[i] = string(choice)
		}
		return strings.Join(texts, "|")
	}
	if len(s.Properties) > 0 {
		var members []string
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			optional := "?"
			if slices.Contains(s.Required, name) {
				optional = ""
			}
			quoted, _ := json.Marshal(name)
			members = append(members, fmt.Sprintf("%s%s: %s", quoted, optional, Expects(s.Properties[name])))
		}
		return "{" + strings.Join(members, ", ") + "}"
	}
	return kind(s.Type) + bounds(s)
}

// kind returns the name of a type in a schema, which may be an array of types.
func kind(of any) string {
	switch of := of.(type) {
	case string:
		return of
	case []any:
		names := make([]string, len(of))
		for i, name := range of {
			names[i] = fmt.Sprint(name)
		}
		return strings.Join(names, "|")
	}
	return "JSON"
}

// bounds returns the range of a number, "" where there is none.
func bounds(s answerSchema) string {
	if s.Minimum == nil && s.Maximum == nil {
		return ""
	}
	text := " "
	if s.Minimum != nil {
		text += s.Minimum.String()
	}
	text += ".."
	if s.Maximum != nil {
		text += s.Maximum.String()
	}
	return text
}
