package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/pkg/client"
)

// activityID is the argument AGENT_ID: a UUID, or its first digits where these are unique.
type activityID struct {
	prefix string
	id     uuid.UUID // zero where only the prefix is known
}

// leastPrefix is how many digits a prefix has at least, and shortID how many of them a list shows.
const (
	leastPrefix = 4
	shortID     = 8
)

// agentID reads the argument AGENT_ID. It asks no database.
func agentID(cmd *cobra.Command, text string) (activityID, error) {
	id, err := parseActivityID(text)
	if err != nil {
		return id, exit.UsageError(cmd, "AGENT_ID %.50q %w", text, err)
	}
	return id, nil
}

func parseActivityID(text string) (activityID, error) {
	id, err := client.ParseAgentID(text)
	if err == nil {
		return activityID{id: id}, nil
	}
	digits := strings.ReplaceAll(strings.ToLower(text), "-", "")
	if len(digits) < leastPrefix || len(text) >= 36 || strings.Trim(digits, "0123456789abcdef") != "" {
		return activityID{}, fmt.Errorf("must be a UUID, such as 01234567-89ab-cdef-0123-456789abcdef, or at least its first %d digits", leastPrefix)
	}
	return activityID{prefix: digits}, nil
}

// activityFlag is a flag that takes an AGENT_ID.
type activityFlag struct{ activityID }

func (a *activityFlag) String() string { return "" }
func (a *activityFlag) Type() string   { return "AGENT_ID" }

func (a *activityFlag) Set(text string) (err error) {
	a.activityID, err = parseActivityID(text)
	return err
}

func (a *activityFlag) given() bool { return a.id != uuid.Nil || a.prefix != "" }

// find returns the id, and looks a prefix up with find. It keeps the result.
func (a *activityID) find(ctx context.Context, find func(ctx context.Context, prefix string) (uuid.UUID, error)) (uuid.UUID, error) {
	if a.id != uuid.Nil || a.prefix == "" {
		return a.id, nil
	}
	var err error
	a.id, err = find(ctx, a.prefix)
	return a.id, err
}

// shortIDs returns, for each id, its shortest prefix that no other one has, of at least 8 characters.
func shortIDs(ids []uuid.UUID) []string {
	const whole = 36
	taken := make(map[string]int, len(ids))
	for _, id := range ids {
		text := id.String()
		for n := shortID; n <= whole; n++ {
			taken[text[:n]]++
		}
	}
	short := make([]string, len(ids))
	for i, id := range ids {
		text := id.String()
		n := shortID
		for n < whole && (taken[text[:n]] > 1 || text[n-1] == '-') {
			n++
		}
		short[i] = text[:n]
	}
	return short
}
