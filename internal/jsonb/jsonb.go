// Package jsonb checks whether Postgres can store a JSON value, so that other values are refused earlier. One query serves the
// lists of all clients, and the filter of one client must not break it.
//
// May import: the standard library.
package jsonb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds, all of them below Postgres's own.
const (
	maxDepth       = 100
	maxNumberBytes = 1000
	maxExponent    = 1000
)

// ErrNoObject is returned for a value that is not a JSON object.
var ErrNoObject = errors.New("must be a JSON object")

// Object reads a JSON object. It returns nil for null, ErrNoObject for any other value, and an error that names the part that
// Postgres cannot store.
func Object(data []byte) (map[string]any, error) {
	object, err := Decode(data)
	if err != nil {
		return nil, err
	}
	if err := Check(object); err != nil {
		return nil, err
	}
	return object, nil
}

// ErrNoFilter is returned for a value that is neither a JSON object nor an array of 1 to 16 objects.
var ErrNoFilter = errors.New("must be a JSON object, or an array of 1 to 16 objects")

const maxAlternatives = 16

// Filter reads a metadata filter: an object, or an array of 1 to 16 objects of which at least one must match. It returns the
// objects, none for null and for a filter without conditions; ErrNoFilter, or an error that names the part that Postgres
// cannot store.
func Filter(data []byte) ([]map[string]any, error) {
	var texts []json.RawMessage
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		texts = append(texts, data)
	} else if json.Unmarshal(data, &texts) != nil || len(texts) == 0 || len(texts) > maxAlternatives {
		return nil, ErrNoFilter
	}
	var all []map[string]any
	nothing := false
	for _, text := range texts {
		object, err := Object(text)
		switch {
		case errors.Is(err, ErrNoObject), err == nil && object == nil && len(text) != len(data):
			return nil, ErrNoFilter
		case err != nil:
			return nil, err
		}
		nothing = nothing || len(object) == 0
		all = append(all, object)
	}
	if nothing {
		return nil, nil
	}
	return all, nil
}

// Decode reads a JSON object, with exact numbers: a float64 would cut long ones, and so match others. It returns nil for null,
// and ErrNoObject for any other value.
func Decode(data []byte) (map[string]any, error) {
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&object) != nil {
		return nil, ErrNoObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrNoObject
	}
	return object, nil
}

// Check returns an error for the part of a decoded object that Postgres cannot store.
func Check(object map[string]any) error { return check(object, 0) }

// Text returns an error that says why Postgres cannot store a text.
func Text(s string) error {
	if strings.ContainsRune(s, 0) {
		return errors.New("text must not contain U+0000")
	}
	return nil
}

func check(value any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	switch v := value.(type) {
	case string:
		return Text(v)
	case json.Number:
		return number(v.String())
	case []any:
		for _, element := range v {
			if err := check(element, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, element := range v {
			if err := errors.Join(Text(key), check(element, depth+1)); err != nil {
				return err
			}
		}
	}
	return nil
}

func number(s string) error {
	_, exponent, scaled := strings.Cut(strings.ToLower(s), "e")
	n, err := strconv.Atoi(exponent)
	if len(s) > maxNumberBytes || (scaled && (err != nil || n < -maxExponent || n > maxExponent)) {
		return fmt.Errorf("number out of range: %.30s", s)
	}
	return nil
}
