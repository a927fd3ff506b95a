package httpapi

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

// query reads a query string strictly: every parameter is known, of its type, and given once. Each parameter
// that is read is removed, so the remaining ones are unknown. A parameter without a value counts as not given, as forms send it.
type query struct {
	values url.Values
	faults []fault
}

func newQuery(raw string) *query {
	values, err := url.ParseQuery(raw)
	q := &query{values: values}
	if err != nil {
		q.faults = append(q.faults, fault{location: "query", message: err.Error()})
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, text := range append([]string{name}, values[name]...) {
			if fault := textFault(text); fault != "" {
				q.fault(strings.ToValidUTF8(name, "\uFFFD"), fault)
				delete(values, name)
				break
			}
		}
	}
	return q
}

func (q *query) fault(name, message string) {
	q.faults = append(q.faults, fault{location: "query." + name, message: message})
}

// take takes out the values of a parameter that may be given several times.
func (q *query) take(name string) []string {
	values := q.values[name]
	delete(q.values, name)
	return slices.DeleteFunc(values, func(v string) bool { return v == "" })
}

// text takes out a parameter that may be given once, "" if it is not.
func (q *query) text(name string) string {
	values := q.take(name)
	if len(values) > 1 {
		q.fault(name, "must be given only once")
	}
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// integer takes out an integer, nil if it is not given. SQL checks its bounds, except those of its type.
func (q *query) integer(name string) *int {
	text := q.text(name)
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		q.fault(name, "must be an integer of 32 bits, got "+shortened(text))
		return nil
	}
	i := int(n)
	return &i
}

// boolean takes out true or false, false if it is not given.
func (q *query) boolean(name string) bool {
	value := q.optional(name)
	return value != nil && *value
}

// optional takes out true or false, nil if it is not given.
func (q *query) optional(name string) *bool {
	switch text := q.text(name); text {
	case "true":
		return new(true)
	case "false":
		return new(false)
	case "":
	default:
		q.fault(name, "must be true or false, got "+shortened(text))
	}
	return nil
}

// when takes out a time or a duration before now, none if it is not given.
func (q *query) when(name string) client.When {
	text := q.text(name)
	if text == "" {
		return client.When{}
	}
	w, err := client.ParseWhen(text)
	if err != nil {
		q.fault(name, "must be a time such as 2026-01-02T15:04:05Z, or a duration before now such as 15m, 1h or 7d, got "+shortened(text))
	}
	return w
}

// duration takes out a duration, 0 if it is not given. SQL checks its bounds, except that a given 0 is rejected here.
func (q *query) duration(name string) time.Duration {
	text := q.text(name)
	if text == "" {
		return 0
	}
	w, err := client.ParseWhen(text) // the same units
	if err != nil || w.Before() == nil || *w.Before() == 0 {
		q.fault(name, "must be a duration such as 1m, 1h or 1d, got "+shortened(text))
		return 0
	}
	return *w.Before()
}

// wait takes out a duration of at most most, 0 if it is not given.
func (q *query) wait(name string, most time.Duration) time.Duration {
	text := q.text(name)
	if text == "" {
		return 0
	}
	w, err := client.ParseWhen(text) // the same units
	if err != nil || w.Before() == nil || *w.Before() > most {
		q.fault(name, "must be a duration of at most "+most.String()+" such as 30s, got "+shortened(text))
		return 0
	}
	return *w.Before()
}

// oneOf takes out one of the values, in any case, "" if it is not given.
func (q *query) oneOf(name string, values ...string) string {
	text := q.text(name)
	if text == "" {
		return ""
	}
	if value := strings.ToUpper(text); slices.Contains(values, value) {
		return value
	}
	q.fault(name, "must be one of "+strings.Join(values, ", ")+", got "+shortened(text))
	return ""
}

// agentID takes out an agent_id, uuid.Nil if it is not given.
func (q *query) agentID(name string) uuid.UUID {
	text := q.text(name)
	if text == "" {
		return uuid.Nil
	}
	id, err := parseID(text)
	if err != nil {
		q.fault(name, err.Error())
	}
	return id
}

// positive takes out an integer for which pkg/client treats 0 as not given, so that a given 0 can only be rejected here. SQL
// checks every other bound.
func (q *query) positive(name string) int {
	n := q.integer(name)
	if n == nil {
		return 0
	}
	if *n == 0 {
		q.fault(name, "must be at least 1, got 0")
	}
	return *n
}

// statuses takes out a list of statuses, separated by commas or given several times.
func (q *query) statuses(name string) []client.Status {
	var statuses []client.Status
	for _, text := range q.take(name) {
		for part := range strings.SplitSeq(text, ",") {
			var s status
			if s.UnmarshalText([]byte(part)) != nil {
				q.fault(name, "must be a list of "+statusNames()+", got "+shortened(part))
				return nil
			}
			statuses = append(statuses, client.Status(s))
		}
	}
	return statuses
}

// metadata takes out every metadata.KEY=VALUE and returns the object they make, nil for none; see client.MetadataValue.
func (q *query) metadata() map[string]any {
	var filter map[string]any
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		key, ok := strings.CutPrefix(name, "metadata.")
		if !ok || key == "" {
			continue
		}
		values := q.values[name]
		delete(q.values, name)
		if len(values) > 1 {
			q.fault(name, "must be given only once")
			continue
		}
		if filter == nil {
			filter = map[string]any{}
		}
		filter[key] = client.MetadataValue(values[0])
	}
	return filter
}

// done returns all faults of the query; the parameters not taken out are unknown.
func (q *query) done() []fault {
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		q.fault(name, "unknown query parameter")
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

// shortened quotes a text from a client, for a message.
func shortened(text string) string {
	if short := problem.Clipped(text); short != text {
		return strconv.Quote(short) + "..."
	}
	return strconv.Quote(text)
}

// statusNames are the names of all statuses, for a message.
func statusNames() string {
	var names []string
	for _, s := range client.Statuses() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}
