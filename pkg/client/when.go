package client

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// When is a moment: a time, or a duration before now. Now is the time of the call, by the clock of the database. The zero value is
// none.
type When struct {
	at    time.Time
	ago   time.Duration
	given bool
}

// At returns the moment of a time, none for the zero time. It is rounded down to the microsecond.
func At(t time.Time) When { return When{at: t.UTC().Truncate(time.Microsecond), given: !t.IsZero()} }

// Ago returns the moment of a duration before now, such as time.Hour. It is rounded down to the microsecond.
func Ago(d time.Duration) When { return When{ago: d.Truncate(time.Microsecond), given: true} }

// maxAgo bounds what ParseWhen reads: 100 years.
const maxAgo = 100 * 365 * 24 * time.Hour

// ParseWhen reads a time of RFC 3339, such as 2026-01-02T15:04:05Z, or a duration before now, such as 15m, 1h, 24h, 7d or 1d12h, at
// most 100 years. Returns ErrInvalid for any other text.
func ParseWhen(text string) (When, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return At(t), nil
	}
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	} else if rest == "" {
		rest = "0"
	}
	n, err := strconv.ParseUint(days, 10, 16)
	d, err2 := time.ParseDuration(rest)
	d += time.Duration(n) * 24 * time.Hour
	if err != nil || err2 != nil || d < 0 || d > maxAgo || strings.ContainsAny(rest, "+-") {
		return When{}, invalid(fmt.Sprintf("a time such as 2026-01-02T15:04:05Z, or a duration before now such as 15m, 1h or 7d, is wanted, got %.50q", text))
	}
	return Ago(d), nil
}

// IsZero reports whether w is none.
func (w When) IsZero() bool { return !w.given }

// Time returns the time of a moment that At made, nil for another one.
func (w When) Time() *time.Time {
	if w.at.IsZero() {
		return nil
	}
	return &w.at
}

// Before returns how long before now a moment is that Ago made, nil for another one.
func (w When) Before() *time.Duration {
	if !w.given || !w.at.IsZero() {
		return nil
	}
	return &w.ago
}

// String returns a text that ParseWhen reads, "" for none. Equal moments have equal texts.
func (w When) String() string {
	switch {
	case !w.given:
		return ""
	case w.at.IsZero():
		return w.ago.String()
	}
	return w.at.Format(time.RFC3339Nano)
}

// MarshalText implements encoding.TextMarshaler.
func (w When) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. An empty text is none.
func (w *When) UnmarshalText(text []byte) (err error) {
	*w = When{}
	if len(text) > 0 {
		*w, err = ParseWhen(string(text))
	}
	return err
}
