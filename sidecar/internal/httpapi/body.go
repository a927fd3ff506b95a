package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// body is a JSON object in a request, read strictly into a T, a struct of fields with json tags: names are exact,
// none is unknown, every value is of its type, and every text is one that Postgres can store. null counts as not
// given. The bounds of the values are SQL's to judge.
//
// huma's own validation would take names in any case, echo whole values in its errors and read JSON as float64.
type body[T any] struct {
	value  T
	faults []error
}

// Schema implements huma.SchemaProvider: the document describes T.
func (*body[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

// Resolve implements huma.Resolver: it reports what decode found.
func (b *body[T]) Resolve(huma.Context) []error { return b.faults }

func (b *body[T]) decode(data []byte) {
	b.faults = decodeObject(data, reflect.ValueOf(&b.value).Elem())
}

// unmarshalBody is the JSON decoder that huma is given. It fails never: huma would keep only the text of the error.
func unmarshalBody(data []byte, into any) error {
	v := reflect.ValueOf(into).Elem()
	if v.Kind() == reflect.Pointer { // an optional body
		v.Set(reflect.New(v.Type().Elem()))
		into = v.Interface()
	}
	b, ok := into.(interface{ decode([]byte) })
	if !ok {
		return fmt.Errorf("%T is no body", into)
	}
	b.decode(data)
	return nil
}

// decodeObject fills the struct and returns what is wrong with the data.
func decodeObject(data []byte, into reflect.Value) []error {
	if !utf8.Valid(data) {
		return []error{&fault{http.StatusBadRequest, "body", "must be JSON in valid UTF-8"}}
	}
	var given map[string]json.RawMessage
	err := json.Unmarshal(data, &given)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return []error{&fault{http.StatusBadRequest, "body", fmt.Sprintf("must be JSON: %v (at byte %d)", syntax, syntax.Offset)}}
	}
	if err != nil || given == nil {
		return []error{&fault{0, "body", "must be a JSON object"}}
	}

	var faults []error
	for i := range into.NumField() {
		name, options, _ := strings.Cut(into.Type().Field(i).Tag.Get("json"), ",")
		value, ok := given[name]
		delete(given, name)
		message := ""
		switch {
		case ok && string(value) != "null":
			message = decodeField(value, into.Field(i))
		case options == "":
			message = "must be given"
		}
		if message != "" {
			faults = append(faults, &fault{0, "body." + name, message})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		faults = append(faults, &fault{0, "body." + name, "unknown field"})
	}
	return faults
}

// decodeField fills one field and says what is wrong with the value, "" for nothing.
func decodeField(value json.RawMessage, into reflect.Value) string {
	if message := escapeFault(value); message != "" {
		return message
	}
	if err := json.Unmarshal(value, into.Addr().Interface()); err != nil {
		return fmt.Sprintf("must be %s, got %s", expected(into.Type()), shortenedJSON(value))
	}
	return ""
}

// expected names what a field takes.
func expected(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[agentID]():
		return "a UUID such as " + exampleID
	case reflect.TypeFor[status]():
		return "one of " + statusNames(", ")
	case reflect.TypeFor[duration]():
		return `a duration such as "15m"`
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	case reflect.Int32:
		return "an integer of 32 bits"
	}
	return "a JSON object"
}

// escapeFault says why Postgres cannot store the texts in a valid JSON value, "" if it can. NUL and half a surrogate
// pair can be in JSON as escapes only; encoding/json would quietly put something else in place of the half.
func escapeFault(value []byte) string {
	for i := 0; i < len(value); i++ {
		if value[i] != '\\' {
			continue
		}
		i++
		if value[i] != 'u' {
			continue
		}
		switch r := unescape(value[i:]); {
		case r == 0:
			return nulFault
		case r >= 0xD800 && r < 0xDC00: // the first half: the second must follow
			second := rune(0)
			if i+6 < len(value) && value[i+5] == '\\' && value[i+6] == 'u' {
				second = unescape(value[i+6:])
			}
			if second < 0xDC00 || second > 0xDFFF {
				return surrogateFault
			}
			i += 6
		case r >= 0xDC00 && r <= 0xDFFF:
			return surrogateFault
		}
	}
	return ""
}

const surrogateFault = `must not contain half of a surrogate pair (\ud800 to \udfff): it is no character`

// unescape reads "uXXXX".
func unescape(escape []byte) rune {
	n, _ := strconv.ParseUint(string(escape[1:5]), 16, 16)
	return rune(n)
}

// shortenedJSON quotes a value for a message: scalars as they are, cut to a bearable length, others by their kind.
func shortenedJSON(value []byte) string {
	const most = 60
	switch {
	case value[0] == '{':
		return "an object"
	case value[0] == '[':
		return "an array"
	case len(value) > most:
		return strings.ToValidUTF8(string(value[:most]), "") + "..."
	}
	return string(value)
}

// The types of fields that are more than their JSON kind.
type (
	agentID  uuid.UUID
	status   client.Status
	duration time.Duration
)

// UnmarshalText takes a UUID in its usual form of 36 characters.
func (id *agentID) UnmarshalText(text []byte) error {
	parsed, err := uuid.ParseBytes(text)
	if err != nil || len(text) != 36 {
		return fmt.Errorf("must be a UUID such as %s, got %s", exampleID, shortened(string(text)))
	}
	*id = agentID(parsed)
	return nil
}

// MarshalText writes it in the same form.
func (id agentID) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }

// UnmarshalText takes the name of a status, in upper or lower case as SQL does.
func (s *status) UnmarshalText(text []byte) error {
	parsed, err := parseStatus(string(text))
	*s = status(parsed)
	return err
}

func parseStatus(text string) (client.Status, error) {
	for _, s := range client.Statuses() {
		if strings.EqualFold(text, string(s)) { // which knows no other letter for those of a status
			return s, nil
		}
	}
	return client.ParseStatus(text)
}

// UnmarshalText takes what time.ParseDuration takes.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}
