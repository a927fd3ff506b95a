package main

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

// The flags below say what they accept; the flag package would only say how parsing failed.

// document is a flag that takes JSON.
type document struct {
	object bool // accepts only an object
	value  any
}

func (d *document) String() string { return "" }
func (d *document) Type() string   { return "JSON" }

func (d *document) Set(text string) error {
	want := "must be JSON, such as"
	if d.object {
		want = "must be a JSON object, such as"
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber() // keeps 9007199254740993 exact
	var value any
	err := decoder.Decode(&value)
	_, isObject := value.(map[string]any)
	if err != nil || decoder.More() || d.object && !isObject {
		return fmt.Errorf(`%s '{"org": "1"}'`, want)
	}
	d.value = value
	return nil
}

// members returns the object, nil if the flag was not given.
func (d *document) members() map[string]any {
	members, _ := d.value.(map[string]any)
	return members
}

// uuidFlag is a flag that takes a UUID.
type uuidFlag struct{ value *uuid.UUID }

func (u *uuidFlag) String() string { return "" }
func (u *uuidFlag) Type() string   { return "UUID" }

func (u *uuidFlag) Set(text string) error {
	id, err := parseUUID(text)
	u.value = &id
	return err
}

func parseUUID(text string) (uuid.UUID, error) {
	id, err := client.ParseAgentID(text)
	if err != nil {
		err = errors.New("must be a UUID, such as 01234567-89ab-cdef-0123-456789abcdef")
	}
	return id, err
}

// number is a flag that takes a whole number. Postgres checks its bounds.
type number struct{ value *int }

func (n *number) String() string { return "" }
func (n *number) Type() string   { return "N" }

func (n *number) Set(text string) error {
	value, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return errors.New("must be a whole number")
	}
	n.value = new(int(value))
	return nil
}

// statuses is a flag that takes names of statuses, in any case, separated by commas.
type statuses struct {
	values   []client.Status
	one      bool // accepts at most one
	finished bool // accepts only those that an activity ends with
}

func (s *statuses) String() string { return "" }

func (s *statuses) Type() string {
	if s.one {
		return "STATUS"
	}
	return "STATUS,..."
}

func (s *statuses) Set(text string) error {
	names := strings.Split(text, ",")
	if s.one && len(names) > 1 {
		return errors.New("takes one status")
	}
	if s.one {
		s.values = nil // the last flag given counts, as with any flag
	}
	for _, name := range names {
		status, err := client.ParseStatusFold(strings.TrimSpace(name))
		if err != nil {
			return fmt.Errorf("%q is no status: use QUEUED, RUNNING, COMPLETE, ERROR or CANCELED", name)
		}
		if s.finished && !status.IsFinished() {
			return fmt.Errorf("%q does not end an activity: use COMPLETE, ERROR or CANCELED", name)
		}
		s.values = append(s.values, status)
	}
	return nil
}

// first returns the one status, "" where none was given.
func (s *statuses) first() client.Status {
	if len(s.values) == 0 {
		return ""
	}
	return s.values[0]
}

// name is a flag that takes a text that is not empty: a script's variable that is unset by mistake would otherwise remove a
// filter.
type name struct{ value string }

func (n *name) String() string { return "" }
func (n *name) Type() string   { return "NAME" }

func (n *name) Set(text string) error {
	if text == "" {
		return errors.New("must not be empty")
	}
	n.value = text
	return nil
}

// duration is a flag that takes a duration in Go's syntax.
type duration struct{ value time.Duration }

func (d *duration) String() string { return "" }
func (d *duration) Type() string   { return "DURATION" }

func (d *duration) Set(text string) (err error) {
	d.value, err = time.ParseDuration(text)
	switch {
	case err != nil:
		return errors.New("must be a duration, such as 90s, 15m or 1h30m")
	case d.value < 0:
		return errors.New("must not be negative")
	}
	return nil
}

// pairs is a flag that takes KEY=VALUE, or a JSON object, and may be repeated. KEY=VALUE is read as the HTTP API reads
// metadata.KEY=VALUE.
type pairs map[string]any

func (p *pairs) String() string { return "" }
func (p *pairs) Type() string   { return "KEY=VALUE" }

func (p *pairs) Set(text string) error {
	var members map[string]any
	if strings.HasPrefix(text, "{") {
		object := document{object: true}
		if err := object.Set(text); err != nil {
			return err
		}
		members = object.members()
	} else {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return errors.New(`must be KEY=VALUE, such as org=1, or a JSON object, such as '{"org": "1"}'`)
		}
		members = map[string]any{key: client.MetadataValue(value)}
	}
	if *p == nil {
		*p = pairs{}
	}
	maps.Copy(*p, members)
	return nil
}

// choice is a flag that takes one of some words.
type choice struct {
	values []string
	value  string // "" where none was given
}

func (c *choice) String() string { return "" }
func (c *choice) Type() string   { return "WORD" }

func (c *choice) Set(text string) error {
	if !slices.Contains(c.values, text) {
		last := len(c.values) - 1
		return fmt.Errorf("must be %s or %s", strings.Join(c.values[:last], ", "), c.values[last])
	}
	c.value = text
	return nil
}

// optionalBool is a flag that takes true or false, or nothing for true.
type optionalBool struct{ value *bool }

func (b *optionalBool) String() string { return "" }
func (b *optionalBool) Type() string   { return "bool" }

func (b *optionalBool) Set(text string) error {
	value, err := strconv.ParseBool(text)
	if err != nil {
		return errors.New("must be true or false")
	}
	b.value = &value
	return nil
}

// instant is a flag that takes a time, or a duration before now.
type instant struct{ client.When }

func (i *instant) String() string { return "" }
func (i *instant) Type() string   { return "TIME" }

func (i *instant) Set(text string) (err error) {
	i.When, err = client.ParseWhen(text)
	if err != nil {
		return errors.New("must be a duration before now, such as 15m, 24h or 7d, or a time, such as 2006-01-02T15:04:05Z")
	}
	return nil
}
