package source

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// FindID implements Source. Its errors are those of client.FindID.
func (s *Sidecar) FindID(ctx context.Context, prefix string) (uuid.UUID, error) {
	list, err := List(ctx, s, client.ListParams{IDPrefix: prefix, PageSize: 1})
	switch {
	case err != nil:
		return uuid.Nil, err
	case len(list.Items) == 0:
		return uuid.Nil, &client.DBError{Code: "TA404", Message: fmt.Sprintf("no activity has an agent_id that begins with %s", prefix)}
	case list.Total != nil && *list.Total > 1:
		return uuid.Nil, &client.DBError{
			Code: "TA422", Message: fmt.Sprintf("%d activities have an agent_id that begins with %s; give more of it", *list.Total, prefix),
		}
	}
	return list.Items[0].AgentID, nil
}
