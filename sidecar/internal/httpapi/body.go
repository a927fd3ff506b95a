package httpapi

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

// body reads the JSON object in the body strictly into a T, a struct of fields with json tags: names match exactly, no name is
// unknown, every value has its type, and Postgres can store every text. null counts as not given, but for a
// required field of any JSON. A field without omitempty is required; without required fields, the body may be left out. SQL checks
// the bounds of the values.
func body[T any](rq *request) (value T) {
	rq.faults = append(rq.faults, decodeObject(rq.body, reflect.ValueOf(&value).Elem())...)
	return value
}

// decodeObject fills the struct and returns what is wrong with the data.
func decodeObject(data []byte, into reflect.Value) (faults []fault) {
	given := map[string]json.RawMessage{}
	if len(data) > 0 {
		if f := decodeGiven(data, &given); f != nil {
			return []fault{*f}
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
			return []fault{{malformed: true, message: "request body is required"}}
		case options == "":
			message = "must be given"
		}
		if message != "" {
			faults = append(faults, fault{location: "body." + name, message: message})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		faults = append(faults, fault{location: "body." + name, message: "unknown field"})
	}
	return faults
}

// decodeGiven reads the given fields, and returns the fault of the whole body, nil for none.
func decodeGiven(data []byte, given *map[string]json.RawMessage) *fault {
	if !utf8.Valid(data) {
		return &fault{malformed: true, location: "body", message: "must be JSON in valid UTF-8"}
	}
	err := json.Unmarshal(data, given)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return &fault{malformed: true, location: "body", message: fmt.Sprintf("must be JSON: %v (at byte %d)", syntax, syntax.Offset)}
	}
	if err != nil || *given == nil {
		return &fault{location: "body", message: "must be a JSON object"}
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
	reflect.TypeFor[*agentID]():                   aUUID,
	reflect.TypeFor[*status]():                    "one of " + statusNames(),
	reflect.TypeFor[duration]():                   `a duration such as "15m"`,
	reflect.TypeFor[*duration]():                  `a duration such as "30s"`,
	reflect.TypeFor[*grace]():                     `a duration such as "30s", or "never"`,
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

// The field types that are stricter than their JSON kind.
type (
	agentID  uuid.UUID
	status   client.Status
	duration time.Duration
	grace    struct {
		never bool
		time  duration
	}
)

// exampleID is the example of a UUID in error messages.
const exampleID = "8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11"

// aUUID names a UUID in error messages.
const aUUID = "a UUID such as " + exampleID

// UnmarshalText accepts the same texts as client.ParseAgentID.
func (id *agentID) UnmarshalText(text []byte) error {
	parsed, err := client.ParseAgentID(string(text))
	*id = agentID(parsed)
	return err
}

// UnmarshalText accepts the name of a status, in upper or lower case, as SQL does.
func (s *status) UnmarshalText(text []byte) error {
	parsed, err := client.ParseStatusFold(string(text))
	*s = status(parsed)
	return err
}

// UnmarshalText accepts the same texts as time.ParseDuration.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// UnmarshalText accepts a duration, or "never".
func (g *grace) UnmarshalText(text []byte) error {
	*g = grace{never: string(text) == "never"}
	if g.never {
		return nil
	}
	return g.time.UnmarshalText(text)
}
