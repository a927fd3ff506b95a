package wsfeed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a list's filter. What Postgres cannot read must not get there: one query serves the lists of all clients.
const (
	maxListLimit     = 1000
	maxMetadataDepth = 100
	maxNumberBytes   = 1000
	maxExponent      = 1000
)

var statuses = []string{"QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCELED"}

// normalise checks a filter and brings it into one form, so that equal filters share one list.
func (f *ListFilter) normalise() error {
	for _, s := range f.Statuses {
		if !slices.Contains(statuses, s) {
			return fmt.Errorf("list.statuses: unknown status %.50q", s)
		}
	}
	slices.Sort(f.Statuses)
	if f.Statuses = slices.Compact(f.Statuses); len(f.Statuses) == 0 {
		f.Statuses = nil // the same as leaving them out
	}
	if f.Limit == 0 {
		f.Limit = 50
	}
	if f.Limit < 1 || f.Limit > maxListLimit {
		return fmt.Errorf("list.limit must be between 1 and %d, got %d", maxListLimit, f.Limit)
	}
	if err := checkText(f.AgentType); err != nil {
		return fmt.Errorf("list.agent_type: %w", err)
	}
	if len(f.Metadata) == 0 {
		return nil
	}
	var object map[string]any
	dec := json.NewDecoder(bytes.NewReader(f.Metadata))
	dec.UseNumber()
	if err := dec.Decode(&object); err != nil {
		return errors.New("list.metadata must be a JSON object")
	}
	if err := checkValue(object, 0); err != nil {
		return fmt.Errorf("list.metadata: %w", err)
	}
	f.Metadata = nil
	if len(object) > 0 {
		f.Metadata, _ = json.Marshal(object) // sorted keys; it was just decoded
	}
	return nil
}

// checkValue refuses what is JSON but no jsonb.
func checkValue(value any, depth int) error {
	if depth > maxMetadataDepth {
		return fmt.Errorf("nested deeper than %d", maxMetadataDepth)
	}
	switch v := value.(type) {
	case string:
		return checkText(v)
	case json.Number:
		return checkNumber(v.String())
	case []any:
		for _, element := range v {
			if err := checkValue(element, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, element := range v {
			if err := errors.Join(checkText(key), checkValue(element, depth+1)); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkText(s string) error {
	if strings.ContainsRune(s, 0) {
		return errors.New("text must not contain U+0000")
	}
	return nil
}

func checkNumber(s string) error {
	_, exponent, scaled := strings.Cut(strings.ToLower(s), "e")
	n, err := strconv.Atoi(exponent)
	if len(s) > maxNumberBytes || (scaled && (err != nil || n < -maxExponent || n > maxExponent)) {
		return fmt.Errorf("number out of range: %.30s", s)
	}
	return nil
}
