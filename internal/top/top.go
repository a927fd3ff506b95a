// Package top is the screen of `agentexec top`: a live table of activities on a terminal, with a filter, trees that unfold, details,
// answers to questions, and cancel.
//
// It is one Bubble Tea program. model.go holds the state and handles messages, read.go and query.go read the source, tree.go arranges
// the rows, answer.go has the form of a question, view.go, row.go, detail_view.go and help.go draw. Text of activities goes through terminal.Printable before it is drawn.
//
// May import: internal/source, internal/terminal, pkg/client.
package top

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/agentexec/agentexec/internal/source"
)

// Config is what to show and how.
type Config struct {
	// Source is where the activities are read. Its Watch is not used.
	Source source.Source
	// Place names the source, in one line.
	Place string
	// Filter is the text of the search field at the start. ParseFilter accepts it.
	Filter string
	// Interval is the time between two reads. Default 1 s, at least MinInterval.
	Interval time.Duration
	// RequestedBy names the requester of a cancel.
	RequestedBy string
	// Describe returns an error as one line that is safe to print.
	Describe func(error) string
	// Input and Output are the terminal. Keys are read from Input as they are typed only if it is one.
	Input  io.Reader
	Output *os.File
	// Environ is the environment. NO_COLOR in it turns colours off.
	Environ []string
}

// MinInterval is the least time between two reads.
const MinInterval = 250 * time.Millisecond

// Run shows the table until the user leaves, or ctx ends; then it returns the error of ctx. It restores the terminal on every way
// out, also after a panic.
func Run(ctx context.Context, config Config) error {
	m, err := newModel(ctx, config)
	if err != nil {
		return err
	}
	program := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(config.Input), tea.WithOutput(config.Output),
		tea.WithEnvironment(config.Environ), tea.WithoutSignalHandler())
	_, err = program.Run()
	if ctx.Err() != nil && !errors.Is(err, tea.ErrProgramPanic) {
		return ctx.Err()
	}
	return err
}
