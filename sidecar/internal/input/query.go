package input

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// Query reads a query string strictly: every parameter is known, of its type, and given once. Each parameter
// that is read is removed, so the remaining ones are unknown. A parameter without a value counts as not given, as forms send it.
type Query struct {
	values url.Values
	faults []Fault
}

// NewQuery parses a query string.
func NewQuery(raw string) *Query {
	values, err := url.ParseQuery(raw)
	q := &Query{values: values}
	if err != nil {
		q.faults = append(q.faults, Fault{Location: "query", Message: err.Error()})
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, text := range append([]string{name}, values[name]...) {
			if fault := textFault(text); fault != "" {
				q.add(strings.ToValidUTF8(name, "\uFFFD"), fault)
				delete(values, name)
				break
			}
		}
	}
	return q
}

func (q *Query) add(name, message string) {
	q.faults = append(q.faults, Fault{Location: "query." + name, Message: message})
}

// take takes out the values of a parameter that may be given several times.
func (q *Query) take(name string) []string {
	values := q.values[name]
	delete(q.values, name)
	return slices.DeleteFunc(values, func(v string) bool { return v == "" })
}

// Text takes out a parameter that may be given once, "" if it is not.
func (q *Query) Text(name string) string {
	values := q.take(name)
	if len(values) > 1 {
		q.add(name, "must be given only once")
	}
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// parsed takes out a parameter that parse understands, the zero value if it is not given. want names the texts that parse
// understands.
func parsed[T any](q *Query, name, want string, parse func(text string) (T, bool)) (none T) {
	text := q.Text(name)
	if text == "" {
		return none
	}
	value, ok := parse(text)
	if !ok {
		q.add(name, "must be "+want+", got "+problem.Quoted(text))
		return none
	}
	return value
}

// Integer takes out an integer, nil if it is not given. SQL checks its bounds, except those of its type.
func (q *Query) Integer(name string) *int {
	return parsed(q, name, "an integer of 32 bits", func(text string) (*int, bool) {
		n, err := strconv.ParseInt(text, 10, 32)
		return new(int(n)), err == nil
	})
}

// Positive takes out an integer for which pkg/client treats 0 as not given, so that a given 0 can only be rejected here. SQL
// checks every other bound.
func (q *Query) Positive(name string) int {
	n := q.Integer(name)
	if n == nil {
		return 0
	}
	if *n == 0 {
		q.add(name, "must be at least 1, got 0")
	}
	return *n
}

// Boolean takes out true or false, false if it is not given.
func (q *Query) Boolean(name string) bool {
	value := q.Optional(name)
	return value != nil && *value
}

// Optional takes out true or false, nil if it is not given.
func (q *Query) Optional(name string) *bool {
	return parsed(q, name, "true or false", func(text string) (*bool, bool) {
		return new(text == "true"), text == "true" || text == "false"
	})
}

// When takes out a time or a duration before now, none if it is not given.
func (q *Query) When(name string) client.When {
	return parsed(q, name, "a time such as 2026-01-02T15:04:05Z, or a duration before now such as 15m, 1h or 7d", func(text string) (client.When, bool) {
		w, err := client.ParseWhen(text)
		return w, err == nil
	})
}

// Duration takes out a duration within bounds, 0 if it is not given. want names it with its bounds.
func (q *Query) Duration(name string, least, most time.Duration, want string) time.Duration {
	return parsed(q, name, want, func(text string) (time.Duration, bool) {
		w, _ := client.ParseWhen(text) // the same units
		d := w.Before()
		if d == nil {
			return 0, false
		}
		return *d, least <= *d && *d <= most
	})
}

// OneOf takes out one of the values, in any case, "" if it is not given.
func (q *Query) OneOf(name string, values ...string) string {
	return parsed(q, name, "one of "+strings.Join(values, ", "), func(text string) (string, bool) {
		value := strings.ToUpper(text)
		return value, slices.Contains(values, value)
	})
}

// AgentID takes out an agent_id, uuid.Nil if it is not given.
func (q *Query) AgentID(name string) uuid.UUID {
	return parsed(q, name, aUUID, func(text string) (uuid.UUID, bool) {
		id, err := client.ParseAgentID(text)
		return id, err == nil
	})
}

// Statuses takes out a list of statuses, separated by commas or given several times.
func (q *Query) Statuses(name string) []client.Status {
	var statuses []client.Status
	for _, text := range q.take(name) {
		for part := range strings.SplitSeq(text, ",") {
			status, err := client.ParseStatusFold(part)
			if err != nil {
				q.add(name, "must be a list of "+statusNames()+", got "+problem.Quoted(part))
				return nil
			}
			statuses = append(statuses, status)
		}
	}
	return statuses
}

// Metadata takes out every metadata.KEY=VALUE and returns the object they make, nil for none; see client.MetadataValue.
func (q *Query) Metadata() map[string]any {
	var filter map[string]any
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		key, ok := strings.CutPrefix(name, "metadata.")
		if !ok || key == "" {
			continue
		}
		values := q.values[name]
		delete(q.values, name)
		if len(values) > 1 {
			q.add(name, "must be given only once")
			continue
		}
		if filter == nil {
			filter = map[string]any{}
		}
		filter[key] = client.MetadataValue(values[0])
	}
	return filter
}

// Done returns all faults of the query; the parameters not taken out are unknown.
func (q *Query) Done() []Fault {
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		q.add(name, "unknown query parameter")
	}
	return q.faults
}

// textFault returns why Postgres cannot store a text, "" if it can.
func textFault(text string) string {
	switch {
	case strings.ContainsRune(text, 0):
		return nulFault
	case !utf8.ValidString(text):
		return "must be valid UTF-8"
	}
	return ""
}

const nulFault = `must not contain a NUL character (\u0000): Postgres cannot store it`

// statusNames are the names of all statuses, for a message.
func statusNames() string {
	var names []string
	for _, s := range client.Statuses() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// PathID reads the agent_id in a parameter of the path.
func PathID(name, text string) (uuid.UUID, []Fault) {
	id, err := client.ParseAgentID(text)
	if err != nil {
		return id, []Fault{{Location: "path." + name, Message: "must be " + aUUID + ", got " + problem.Quoted(text)}}
	}
	return id, nil
}
