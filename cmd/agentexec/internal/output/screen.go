// Package output prints the answers of the commands: for people on a terminal, where every line fits and text of others cannot
// control it, and for programs in a pipe.
//
// screen.go has the output, its lines and JSON; table.go, questions.go, findings.go and activity.go print one kind of answer each;
// view.go is the progress bar of watch, live_list.go the list that is kept up to date, outage.go the notes about a connection.
//
// May import: pkg/client, internal/source, internal/doctor, internal/terminal, and internal/exit of this program.
package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/term"

	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// Screen is the output of an answer: a terminal for people, or a pipe for a program.
type Screen struct {
	io.Writer
	Terminal bool

	colors bool
	file   *os.File // the terminal; nil counts as one of 80 columns and 24 rows
}

// NewScreen returns the Screen that writes to w. TERM=dumb makes a terminal a pipe, and NO_COLOR turns its colours off.
func NewScreen(w io.Writer) *Screen {
	s := &Screen{Writer: w}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" {
		s.Terminal, s.file = true, file
		s.colors = os.Getenv("NO_COLOR") == ""
	}
	return s
}

// width returns the columns of the terminal.
func (s *Screen) width() int {
	columns, _, err := term.GetSize(int(s.file.Fd()))
	if err != nil || columns < 20 {
		return 80
	}
	return columns
}

// height returns the rows of the terminal.
func (s *Screen) height() int {
	_, rows, err := term.GetSize(int(s.file.Fd()))
	if err != nil || rows < 4 {
		return 24
	}
	return rows
}

// Paint colors a text by a status.
func (s *Screen) Paint(status client.Status, text string) string {
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

// ProgramTime is the layout of a time in UTC for programs, personTime that of a time in the local zone for people.
const (
	ProgramTime = "2006-01-02T15:04:05.000Z"
	personTime  = "2006-01-02 15:04:05 -0700"
)

// PlainLine is a log line for programs: seq, time, status, percentage ("-" where the line has none), message.
func PlainLine(line client.Log) string {
	return fmt.Sprintf("%d %s %s %s %s", line.Seq, line.CreatedAt.UTC().Format(ProgramTime),
		line.Status, percent(line.Percentage), terminal.Printable(line.Message))
}

// line prints a log line: for people on a terminal, else plain.
func (s *Screen) line(line client.Log) error {
	var err error
	if s.Terminal {
		_, err = fmt.Fprintf(s, "%5d  %s  %s  %4s  %s\n", line.Seq, line.CreatedAt.Local().Format(time.TimeOnly),
			s.Paint(line.Status, terminal.Pad(line.Status.String(), 8)), percent(line.Percentage), terminal.Printable(line.Message))
	} else {
		_, err = fmt.Fprintln(s, PlainLine(line))
	}
	return err
}

func percent(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprintf("%d%%", *n)
}

// JSON prints the JSON of an SQL function as it is. On a terminal, it escapes the characters that control a terminal.
func (s *Screen) JSON(answer json.RawMessage) error {
	text := string(answer)
	if s.Terminal {
		var b strings.Builder
		for _, r := range text {
			if !terminal.Steers(r) {
				b.WriteRune(r)
				continue
			}
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
		text = b.String()
	}
	_, err := fmt.Fprintln(s, text)
	return err
}

// jsonLine prints a log line as JSON, with the fields and the format of time that SQL gives.
func (s *Screen) jsonLine(line client.Log) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		client.Log
		CreatedAt string `json:"created_at"`
	}{line, line.CreatedAt.UTC().Format("2006-01-02T15:04:05.000000Z")})
	if err != nil {
		return err
	}
	return s.JSON(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}
