package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// Body reads the JSON object in a body strictly into a T, a struct of fields with json tags: names match exactly, no name is
// unknown, every value has its type, and Postgres can store every text. null counts as not given, but for a
// required field of any JSON. A field without omitempty is required; without required fields, the body may be left out. SQL checks
// the bounds of the values.
//
// A field has one of these types: string, bool, json.RawMessage, map[string]json.RawMessage, Duration, or a pointer to int32,
// float64, AgentID, Status, Duration or Grace. data has no white space around it.
func Body[T any](data []byte) (value T, faults []Fault) {
	faults = decodeObject(data, reflect.ValueOf(&value).Elem())
	return value, faults
}

// decodeObject fills the struct and returns what is wrong with the data.
func decodeObject(data []byte, into reflect.Value) (faults []Fault) {
	given := map[string]json.RawMessage{}
	if len(data) > 0 {
		if f := decodeGiven(data, &given); f != nil {
			return []Fault{*f}
		}
	}
	for i := range into.NumField() {
		name, options, _ := strings.Cut(into.Type().Field(i).Tag.Get("json"), ",")
		value, ok := given[name]
		delete(given, name)
		message := ""
		switch {
		case ok && (string(value) != "null" || options == "" && into.Field(i).Type() == reflect.TypeFor[json.RawMessage]()):
			message = decodeField(value, into.Field(i))
		case options == "" && len(data) == 0:
			return []Fault{{Malformed: true, Message: "request body is required"}}
		case options == "":
			message = "must be given"
		}
		if message != "" {
			faults = append(faults, Fault{Location: "body." + name, Message: message})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		faults = append(faults, Fault{Location: "body." + name, Message: "unknown field"})
	}
	return faults
}

// decodeGiven reads the given fields, and returns the fault of the whole body, nil for none.
func decodeGiven(data []byte, given *map[string]json.RawMessage) *Fault {
	if !utf8.Valid(data) {
		return &Fault{Malformed: true, Location: "body", Message: "must be JSON in valid UTF-8"}
	}
	err := json.Unmarshal(data, given)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return &Fault{Malformed: true, Location: "body", Message: fmt.Sprintf("must be JSON: %v (at byte %d)", syntax, syntax.Offset)}
	}
	if err != nil || *given == nil {
		return &Fault{Location: "body", Message: "must be a JSON object"}
	}
	return nil
}

// decodeField fills one field and returns what is wrong with the value, "" for nothing.
func decodeField(value json.RawMessage, into reflect.Value) string {
	if message := escapeFault(value); message != "" {
		return message
	}
	if err := json.Unmarshal(value, into.Addr().Interface()); err != nil {
		return fmt.Sprintf("must be %s, got %s", expected[into.Type()], shortenedJSON(value))
	}
	return ""
}

// expected names the values that a field accepts, by its type. A json.RawMessage accepts any JSON.
var expected = map[reflect.Type]string{
	reflect.TypeFor[string]():                     "a string",
	reflect.TypeFor[bool]():                       "true or false",
	reflect.TypeFor[*float64]():                   "a number",
	reflect.TypeFor[*AgentID]():                   aUUID,
	reflect.TypeFor[*Status]():                    "one of " + statusNames(),
	reflect.TypeFor[Duration]():                   `a duration such as "15m"`,
	reflect.TypeFor[*Duration]():                  `a duration such as "30s"`,
	reflect.TypeFor[*Grace]():                     `a duration such as "30s", or "never"`,
	reflect.TypeFor[*int32]():                     "an integer of 32 bits",
	reflect.TypeFor[map[string]json.RawMessage](): "a JSON object",
	reflect.TypeFor[json.RawMessage]():            "JSON",
}

// escapeFault returns why Postgres cannot store the texts in a valid JSON value, "" if it can. NUL and half a surrogate pair
// can be in JSON only as escapes; encoding/json would silently replace the half.
func escapeFault(value []byte) string {
	for i := 0; i < len(value); i++ {
		if value[i] != '\\' {
			continue
		}
		switch r := escaped(value[i:]); {
		case r == 0:
			return nulFault
		case !utf16.IsSurrogate(r):
			i++ // the next character is escaped, and may be a backslash
		case utf16.DecodeRune(r, escaped(value[i+6:])) == unicode.ReplacementChar:
			return surrogateFault
		default:
			i += 11 // both halves
		}
	}
	return ""
}

const surrogateFault = `must not contain half of a surrogate pair (\ud800 to \udfff): it is no character`

// escaped returns the code unit of the escape \uXXXX at the beginning of text, -1 where there is another or none.
func escaped(text []byte) rune {
	if !bytes.HasPrefix(text, []byte(`\u`)) {
		return -1
	}
	n, _ := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n)
}

// shortenedJSON quotes a value for a message: a scalar as it is, cut to a limited length, any other value by its kind.
func shortenedJSON(value []byte) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	short := problem.Clipped(string(value))
	if len(short) < len(value) {
		short += "..."
	}
	return short
}

// AgentID is a field with an agent_id.
type AgentID uuid.UUID

// Status is a field with the name of a status.
type Status client.Status

// Duration is a field with a duration.
type Duration time.Duration

// Grace is a field with a duration, or "never".
type Grace struct {
	Never bool
	Time  Duration
}

// exampleID is the example of a UUID in error messages.
const exampleID = "8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11"

// aUUID names a UUID in error messages.
const aUUID = "a UUID such as " + exampleID

// UnmarshalText accepts the same texts as client.ParseAgentID.
func (id *AgentID) UnmarshalText(text []byte) error {
	parsed, err := client.ParseAgentID(string(text))
	*id = AgentID(parsed)
	return err
}

// UnmarshalText accepts the name of a status, in upper or lower case, as SQL does.
func (s *Status) UnmarshalText(text []byte) error {
	parsed, err := client.ParseStatusFold(string(text))
	*s = Status(parsed)
	return err
}

// UnmarshalText accepts the same texts as time.ParseDuration.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// UnmarshalText accepts a duration, or "never".
func (g *Grace) UnmarshalText(text []byte) error {
	*g = Grace{Never: string(text) == "never"}
	if g.Never {
		return nil
	}
	return g.Time.UnmarshalText(text)
}
