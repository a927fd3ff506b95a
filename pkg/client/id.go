package client

import (
	"fmt"

	"github.com/google/uuid"
)

// ParseAgentID reads an agent_id in its usual form of 36 characters, in upper or lower case. Returns ErrInvalid for any other
// text, also for the other forms that uuid.Parse accepts.
func ParseAgentID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return uuid.Nil, invalid(fmt.Sprintf("agent_id must be a UUID, got %.50q", text))
	}
	return id, nil
}
