package client

import (
	"fmt"
	"strings"
)

// Status is the state of an activity, now or when a line was written.
type Status string

// The five statuses. QUEUED and RUNNING may become any other; ERROR may become QUEUED or RUNNING again, which is a
// retry, or CANCELED; COMPLETE and CANCELED are final.
const (
	StatusQueued   Status = "QUEUED"
	StatusRunning  Status = "RUNNING"
	StatusComplete Status = "COMPLETE"
	StatusError    Status = "ERROR"
	StatusCanceled Status = "CANCELED"
)

// Statuses returns the five statuses, in the order of an activity's life cycle.
func Statuses() []Status {
	return []Status{StatusQueued, StatusRunning, StatusComplete, StatusError, StatusCanceled}
}

// names returns the names of statuses.
func names(statuses []Status) []string {
	all := make([]string, len(statuses))
	for i, s := range statuses {
		all[i] = string(s)
	}
	return all
}

// ParseStatus returns the status with that name, in capital letters. Returns ErrInvalid when there is none.
func ParseStatus(name string) (Status, error) {
	for _, s := range Statuses() {
		if name == string(s) {
			return s, nil
		}
	}
	return "", invalid(fmt.Sprintf("status must be one of %v, got %q", Statuses(), name))
}

// ParseStatusFold is ParseStatus for a name in upper or lower case, as SQL reads text.
func ParseStatusFold(name string) (Status, error) {
	for _, s := range Statuses() {
		if strings.EqualFold(name, string(s)) { // no other letter folds to those of a status
			return s, nil
		}
	}
	return ParseStatus(name)
}

// String returns the status's name, such as "RUNNING".
func (s Status) String() string { return string(s) }

// IsFinal reports whether no status can follow: COMPLETE and CANCELED. An ERROR is not final, because it may be retried; see
// IsFinished.
func (s Status) IsFinal() bool { return s == StatusComplete || s == StatusCanceled }

// IsFinished reports whether the work has ended, for now at least: COMPLETE, CANCELED and ERROR, the statuses in which
// an activity has a FinishedAt.
func (s Status) IsFinished() bool { return s.IsFinal() || s == StatusError }
