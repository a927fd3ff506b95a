// Package argument parses the values of flags and arguments. Its types are flags (pflag.Value) that say what they accept; pflag
// would only say how parsing failed. A type that one command alone uses stays beside that command.
//
// values.go has the flags, activity_id.go the argument AGENT_ID. No function asks a database.
//
// May import: pkg/client, and internal/exit of this program.
package argument

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// Document is a flag that takes JSON.
type Document struct {
	Object bool // accepts only an object
	Value  any
}

// String implements pflag.Value.
func (d *Document) String() string { return "" }

// Type implements pflag.Value.
func (d *Document) Type() string { return "JSON" }

// Set implements pflag.Value.
func (d *Document) Set(text string) error {
	want := "must be JSON, such as"
	if d.Object {
		want = "must be a JSON object, such as"
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber() // keeps 9007199254740993 exact
	var value any
	err := decoder.Decode(&value)
	_, isObject := value.(map[string]any)
	if err != nil || decoder.More() || d.Object && !isObject {
		return fmt.Errorf(`%s '{"org": "1"}'`, want)
	}
	d.Value = value
	return nil
}

// Members returns the object, nil if the flag was not given.
func (d *Document) Members() map[string]any {
	members, _ := d.Value.(map[string]any)
	return members
}

// UUID is a flag that takes a UUID. Value is nil where it was not given.
type UUID struct{ Value *uuid.UUID }

// String implements pflag.Value.
func (u *UUID) String() string { return "" }

// Type implements pflag.Value.
func (u *UUID) Type() string { return "UUID" }

// Set implements pflag.Value.
func (u *UUID) Set(text string) error {
	id, err := ParseUUID(text)
	u.Value = &id
	return err
}

// ParseUUID reads a UUID. Its error says what must be given, and belongs behind the text.
func ParseUUID(text string) (uuid.UUID, error) {
	id, err := client.ParseAgentID(text)
	if err != nil {
		err = errors.New("must be a UUID, such as 01234567-89ab-cdef-0123-456789abcdef")
	}
	return id, err
}

// Number is a flag that takes a whole number; Value is nil where it was not given. Postgres checks its bounds.
type Number struct{ Value *int }

// String implements pflag.Value.
func (n *Number) String() string { return "" }

// Type implements pflag.Value.
func (n *Number) Type() string { return "N" }

// Set implements pflag.Value.
func (n *Number) Set(text string) error {
	value, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return errors.New("must be a whole number")
	}
	n.Value = new(int(value))
	return nil
}

// Statuses is a flag that takes names of statuses, in any case, separated by commas.
type Statuses struct {
	Values   []client.Status
	One      bool // accepts at most one
	Finished bool // accepts only those that an activity ends with
}

// String implements pflag.Value.
func (s *Statuses) String() string { return "" }

// Type implements pflag.Value.
func (s *Statuses) Type() string {
	if s.One {
		return "STATUS"
	}
	return "STATUS,..."
}

// Set implements pflag.Value.
func (s *Statuses) Set(text string) error {
	names := strings.Split(text, ",")
	if s.One && len(names) > 1 {
		return errors.New("takes one status")
	}
	if s.One {
		s.Values = nil // the last flag given counts, as with any flag
	}
	for _, name := range names {
		status, err := client.ParseStatusFold(strings.TrimSpace(name))
		if err != nil {
			return fmt.Errorf("%q is no status: use QUEUED, RUNNING, COMPLETE, ERROR or CANCELED", name)
		}
		if s.Finished && !status.IsFinished() {
			return fmt.Errorf("%q does not end an activity: use COMPLETE, ERROR or CANCELED", name)
		}
		s.Values = append(s.Values, status)
	}
	return nil
}

// First returns the one status, "" where none was given.
func (s *Statuses) First() client.Status {
	if len(s.Values) == 0 {
		return ""
	}
	return s.Values[0]
}

// Name is a flag that takes a text that is not empty: a script's variable that is unset by mistake would otherwise remove a
// filter.
type Name struct{ Value string }

// String implements pflag.Value.
func (n *Name) String() string { return "" }

// Type implements pflag.Value.
func (n *Name) Type() string { return "NAME" }

// Set implements pflag.Value.
func (n *Name) Set(text string) error {
	if text == "" {
		return errors.New("must not be empty")
	}
	n.Value = text
	return nil
}

// Duration is a flag that takes a duration in Go's syntax.
type Duration struct{ Value time.Duration }

// String implements pflag.Value.
func (d *Duration) String() string { return "" }

// Type implements pflag.Value.
func (d *Duration) Type() string { return "DURATION" }

// Set implements pflag.Value.
func (d *Duration) Set(text string) (err error) {
	d.Value, err = time.ParseDuration(text)
	switch {
	case err != nil:
		return errors.New("must be a duration, such as 90s, 15m or 1h30m")
	case d.Value < 0:
		return errors.New("must not be negative")
	}
	return nil
}

// Pairs is a flag that takes KEY=VALUE, or a JSON object, and may be repeated. KEY=VALUE is read as the HTTP API reads
// metadata.KEY=VALUE.
type Pairs map[string]any

// String implements pflag.Value.
func (p *Pairs) String() string { return "" }

// Type implements pflag.Value.
func (p *Pairs) Type() string { return "KEY=VALUE" }

// Set implements pflag.Value.
func (p *Pairs) Set(text string) error {
	var members map[string]any
	if strings.HasPrefix(text, "{") {
		object := Document{Object: true}
		if err := object.Set(text); err != nil {
			return err
		}
		members = object.Members()
	} else {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return errors.New(`must be KEY=VALUE, such as org=1, or a JSON object, such as '{"org": "1"}'`)
		}
		members = map[string]any{key: client.MetadataValue(value)}
	}
	if *p == nil {
		*p = Pairs{}
	}
	maps.Copy(*p, members)
	return nil
}

// Choice is a flag that takes one of some words.
type Choice struct {
	Values []string
	Value  string // "" where none was given
}

// String implements pflag.Value.
func (c *Choice) String() string { return "" }

// Type implements pflag.Value.
func (c *Choice) Type() string { return "WORD" }

// Set implements pflag.Value.
func (c *Choice) Set(text string) error {
	if !slices.Contains(c.Values, text) {
		last := len(c.Values) - 1
		return fmt.Errorf("must be %s or %s", strings.Join(c.Values[:last], ", "), c.Values[last])
	}
	c.Value = text
	return nil
}

// OptionalBool is a flag that takes true or false, or nothing for true. Value is nil where it was not given.
type OptionalBool struct{ Value *bool }

// String implements pflag.Value.
func (b *OptionalBool) String() string { return "" }

// Type implements pflag.Value.
func (b *OptionalBool) Type() string { return "bool" }

// Set implements pflag.Value.
func (b *OptionalBool) Set(text string) error {
	value, err := strconv.ParseBool(text)
	if err != nil {
		return errors.New("must be true or false")
	}
	b.Value = &value
	return nil
}

// Instant is a flag that takes a time, or a duration before now.
type Instant struct{ client.When }

// String implements pflag.Value.
func (i *Instant) String() string { return "" }

// Type implements pflag.Value.
func (i *Instant) Type() string { return "TIME" }

// Set implements pflag.Value.
func (i *Instant) Set(text string) (err error) {
	i.When, err = client.ParseWhen(text)
	if err != nil {
		return errors.New("must be a duration before now, such as 15m, 24h or 7d, or a time, such as 2006-01-02T15:04:05Z")
	}
	return nil
}
