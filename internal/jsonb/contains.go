package jsonb

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Number is a JSON number in canonical form: numbers that are equal to Postgres have equal texts.
type Number string

// Canonical returns a decoded JSON value with every json.Number as a Number. Contains requires such values.
func Canonical(value any) any {
	switch v := value.(type) {
	case json.Number:
		return canonicalNumber(v.String())
	case []any:
		for i := range v {
			v[i] = Canonical(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = Canonical(v[key])
		}
	}
	return value
}

// canonicalNumber converts a number to the form [-]digits"e"exponent, whose digits neither begin nor end with 0.
func canonicalNumber(text string) Number {
	sign := ""
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		sign, text = "-", rest
	}
	text, exponentText, _ := strings.Cut(strings.ToLower(text), "e")
	exponent, _ := strconv.Atoi(exponentText) // in bounds: Check has verified that
	whole, fraction, _ := strings.Cut(text, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	exponent -= len(fraction)
	short := strings.TrimRight(digits, "0")
	if short == "" {
		return "0"
	}
	return Number(sign + short + "e" + strconv.Itoa(exponent+len(digits)-len(short)))
}

// Contains reports whether the object a contains the object b, as Postgres's jsonb operator @> does. Both are Canonical.
func Contains(a, b map[string]any) bool {
	for key, want := range b {
		have, ok := a[key]
		if !ok || !containsValue(have, want) {
			return false
		}
	}
	return true
}

// containsValue compares two values in the same place: containers by containment, all others by equality.
func containsValue(a, b any) bool {
	switch want := b.(type) {
	case map[string]any:
		have, ok := a.(map[string]any)
		return ok && Contains(have, want)
	case []any:
		have, ok := a.([]any)
		return ok && containsAll(have, want)
	}
	return isScalar(a) && a == b
}

// containsAll reports whether each element of b is in a, at any position and any number of times.
func containsAll(a, b []any) bool {
	for _, want := range b {
		found := false
		for _, have := range a {
			if found = containsValue(have, want); found {
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func isScalar(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}
