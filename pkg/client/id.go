package client

import (
	"context"
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

// FindID returns the agent_id that begins with a prefix of at least 4 hexadecimal digits, in upper or lower case; hyphens are left out.
//
// Inside a transaction (see WithTx) it sees the transaction's writes. Returns ErrNotFound when no activity has such an agent_id,
// and ErrInvalid when several have, or the prefix is not 4 to 32 hexadecimal digits.
func (c *Client) FindID(ctx context.Context, prefix string) (uuid.UUID, error) {
	if prefix == "" {
		return uuid.Nil, invalid("id_prefix must be 4 to 32 hexadecimal digits, got none")
	}
	list, err := c.List(ctx, ListParams{IDPrefix: prefix, PageSize: 1})
	switch {
	case err != nil:
		return uuid.Nil, err
	case *list.Total == 0:
		return uuid.Nil, &DBError{Code: "TA404", Message: fmt.Sprintf("no activity has an agent_id that begins with %s", prefix)}
	case *list.Total > 1:
		return uuid.Nil, invalid(fmt.Sprintf("%d activities have an agent_id that begins with %s; give more of it", *list.Total, prefix))
	}
	return list.Items[0].AgentID, nil
}
