// Package exit turns the error of a command into its end: an exit code, and one line of text without passwords.
//
// exit.go has the codes and the error with a code of its own, usage.go the errors in how a command was called, describe.go the
// texts.
//
// May import: pkg/client, internal/source, internal/terminal.
package exit

import (
	"errors"

	"github.com/agentexec/agentexec/pkg/client"
)

// The exit codes, see the README. CodeCanceled and CodeInterrupted are those of watch.
const (
	CodeDone        = 0
	CodeFailed      = 1
	CodeUsage       = 2
	CodeCanceled    = 3
	CodeInterrupted = 130 // the code of shells for SIGINT
)

// Error is an error with an exit code of its own. Without an Err nothing is printed.
type Error struct {
	Code int
	Err  error
}

// Error returns the text of Err, "" where there is none.
func (e *Error) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap returns Err, which may be nil.
func (e *Error) Unwrap() error { return e.Err }

// Code returns the exit code of a command that ended with err. An invalid argument that only SQL rejects is also CodeUsage.
func Code(err error) int {
	var exit *Error
	switch {
	case err == nil:
		return CodeDone
	case errors.As(err, &exit):
		return exit.Code
	case errors.Is(err, client.ErrInvalid):
		return CodeUsage
	default:
		return CodeFailed
	}
}
