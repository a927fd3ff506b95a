package top

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
)

// panicking is a source whose list panics.
type panicking struct{ source.Source }

func (panicking) ListJSON(context.Context, client.ListParams) (json.RawMessage, error) {
	panic("out of order")
}

// TestPanicRestoresTerminal: the normal screen and the cursor come back, and Run reports the panic.
func TestPanicRestoresTerminal(t *testing.T) {
	t.Parallel()
	terminal, file, err := pty.Open()
	require.NoError(t, err)
	require.NoError(t, pty.Setsize(terminal, &pty.Winsize{Cols: 80, Rows: 24}))
	written := make(chan string)
	go func() {
		var b bytes.Buffer
		_, _ = b.ReadFrom(terminal) // ends with EIO when file is closed
		written <- b.String()
	}()
	// Nothing is typed. Bubble Tea does not wait for its reader of a terminal when a program panics, and closes what it waits with: a
	// race that ends with the process, outside of tests.
	input, typed := io.Pipe()
	t.Cleanup(func() { _ = typed.Close() })
	err = Run(t.Context(), Config{
		Source: panicking{}, Describe: func(err error) string { return err.Error() }, Input: input, Output: file, Environ: append(os.Environ(), "TERM=xterm-256color"),
	})
	require.ErrorIs(t, err, tea.ErrProgramPanic)
	require.NoError(t, file.Close())
	text := <-written
	require.NoError(t, terminal.Close())
	for on, off := range map[string]string{"\x1b[?1049h": "\x1b[?1049l", "\x1b[?25l": "\x1b[?25h"} {
		require.GreaterOrEqual(t, strings.LastIndex(text, off), strings.LastIndex(text, on))
	}
}
