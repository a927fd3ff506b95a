// Package terminal makes text of other programs safe to show on a terminal, and measures and cuts it by columns.
//
// May import: nothing of this module.
package terminal

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"
)

// Steers reports whether a rune may control a terminal: control characters, and invisible characters or those that change the
// direction of the following text. The two joiners are allowed, because they are parts of words and emoji.
func Steers(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != '\u200c' && r != '\u200d'
}

// Printable makes one line of a text without characters that control a terminal: a log line must not control the reader's
// screen.
func Printable(text string) string {
	if strings.IndexFunc(text, Steers) < 0 {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !Steers(r):
			b.WriteRune(r)
		case r == '\t':
			b.WriteByte(' ')
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// Columns returns how many columns of a terminal a printable text needs.
func Columns(text string) int {
	n := 0
	for _, r := range text {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch kind := width.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Clip shortens a printable text to so many columns.
func Clip(text string, to int) string {
	if Columns(text) <= to {
		return text
	}
	used := 0
	for i, r := range text {
		if used += runeColumns(r); used > to-1 {
			return text[:i] + strings.Repeat("…", min(to, 1))
		}
	}
	return text
}

// Pad fills a printable text up to so many columns.
func Pad(text string, to int) string {
	return text + strings.Repeat(" ", max(0, to-Columns(text)))
}

// Counted returns a number with the singular or the plural of a word.
func Counted(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// Ago returns a rough duration: 12s, 3m, 5h, 2d. Clocks differ, so a negative one becomes zero.
func Ago(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
