package argument

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/pkg/client"
)

// ActivityID is the argument AGENT_ID: a UUID, or its first digits where these are unique.
type ActivityID struct {
	prefix string
	id     uuid.UUID // zero where only the prefix is known
}

// leastPrefix is how many digits a prefix has at least.
const leastPrefix = 4

// AgentID reads the argument AGENT_ID. It asks no database.
func AgentID(cmd *cobra.Command, text string) (ActivityID, error) {
	id, err := ParseActivityID(text)
	if err != nil {
		return id, exit.UsageError(cmd, "AGENT_ID %.50q %w", text, err)
	}
	return id, nil
}

// ParseActivityID reads an AGENT_ID. Its error says what must be given, and belongs behind the text.
func ParseActivityID(text string) (ActivityID, error) {
	id, err := client.ParseAgentID(text)
	if err == nil {
		return ActivityID{id: id}, nil
	}
	digits := strings.ReplaceAll(strings.ToLower(text), "-", "")
	if len(digits) < leastPrefix || len(text) >= 36 || strings.Trim(digits, "0123456789abcdef") != "" {
		return ActivityID{}, fmt.Errorf("must be a UUID, such as 01234567-89ab-cdef-0123-456789abcdef, or at least its first %d digits", leastPrefix)
	}
	return ActivityID{prefix: digits}, nil
}

// ActivityFlag is a flag that takes an AGENT_ID.
type ActivityFlag struct{ ActivityID }

// String implements pflag.Value.
func (a *ActivityFlag) String() string { return "" }

// Type implements pflag.Value.
func (a *ActivityFlag) Type() string { return "AGENT_ID" }

// Set implements pflag.Value.
func (a *ActivityFlag) Set(text string) (err error) {
	a.ActivityID, err = ParseActivityID(text)
	return err
}

// Given reports whether the flag was given.
func (a *ActivityFlag) Given() bool { return a.id != uuid.Nil || a.prefix != "" }

// Find returns the id, and looks a prefix up with find. It keeps the result. The zero ActivityID has the id uuid.Nil.
func (a *ActivityID) Find(ctx context.Context, find func(ctx context.Context, prefix string) (uuid.UUID, error)) (uuid.UUID, error) {
	if a.id != uuid.Nil || a.prefix == "" {
		return a.id, nil
	}
	var err error
	a.id, err = find(ctx, a.prefix)
	return a.id, err
}
