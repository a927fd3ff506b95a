package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"

	"github.com/agentexec/agentexec/pkg/client"
)

// screen is the output of an answer: a terminal for people, or a pipe for a program.
type screen struct {
	io.Writer
	terminal bool
	colors   bool
	fd       int
}

func newScreen(w io.Writer) *screen {
	s := &screen{Writer: w}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" {
		s.terminal, s.fd = true, int(file.Fd())
		s.colors = os.Getenv("NO_COLOR") == ""
	}
	return s
}

// width returns the columns of the terminal.
func (s *screen) width() int {
	columns, _, err := term.GetSize(s.fd)
	if err != nil || columns < 20 {
		return 80
	}
	return columns
}

// paint colors a text by a status.
func (s *screen) paint(status client.Status, text string) string {
	if !s.colors {
		return text
	}
	color := map[client.Status]string{
		client.StatusQueued:   "2",  // faint
		client.StatusRunning:  "36", // cyan
		client.StatusComplete: "32", // green
		client.StatusError:    "31", // red
		client.StatusCanceled: "33", // yellow
	}[status]
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// steers reports whether a rune may control a terminal: control characters, and invisible characters or those that change the
// direction of the following text. The two joiners are allowed, because they are parts of words and emoji.
func steers(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != '\u200c' && r != '\u200d'
}

// printable makes one line of a text without characters that control a terminal: a log line must not control the reader's
// screen.
func printable(text string) string {
	if strings.IndexFunc(text, steers) < 0 {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !steers(r):
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

// columns returns how many columns of a terminal a printable text needs.
func columns(text string) int {
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

// clip shortens a printable text to so many columns.
func clip(text string, to int) string {
	if columns(text) <= to {
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

// pad fills a printable text up to so many columns.
func pad(text string, to int) string {
	return text + strings.Repeat(" ", max(0, to-columns(text)))
}

// programTime is the layout of a time in UTC for programs, personTime that of a time in the local zone for people.
const (
	programTime = "2006-01-02T15:04:05.000Z"
	personTime  = "2006-01-02 15:04:05 -0700"
)

// plainLine is a log line for programs: seq, time, status, percentage ("-" where the line has none), message.
func plainLine(line client.Log) string {
	return fmt.Sprintf("%d %s %s %s %s", line.Seq, line.CreatedAt.UTC().Format(programTime),
		line.Status, percent(line.Percentage), printable(line.Message))
}

// line prints a log line: for people on a terminal, else plain.
func (s *screen) line(line client.Log) error {
	var err error
	if s.terminal {
		_, err = fmt.Fprintf(s, "%5d  %s  %s  %4s  %s\n", line.Seq, line.CreatedAt.Local().Format(time.TimeOnly),
			s.paint(line.Status, pad(line.Status.String(), 8)), percent(line.Percentage), printable(line.Message))
	} else {
		_, err = fmt.Fprintln(s, plainLine(line))
	}
	return err
}

func percent(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprintf("%d%%", *n)
}

// counted returns a number with the singular or the plural of a word.
func counted(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// ago returns a rough duration: 12s, 3m, 5h, 2d. Clocks differ, so a negative one becomes zero.
func ago(d time.Duration) string {
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
