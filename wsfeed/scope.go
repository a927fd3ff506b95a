package wsfeed

import (
	"encoding/json"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/jsonb"
	"github.com/agentexec/agentexec/pkg/client"
)

// feedScope is the scope of a connection, with the text that identifies it. nil is everything.
type feedScope struct {
	scope client.Scope
	text  string
}

// newFeedScope returns the feedScope of a grant's scope. A scope that Postgres could not read contains nothing: it must not
// break the query that the tail sends for the lists of all clients.
func newFeedScope(scope client.Scope) *feedScope {
	if scope.IsZero() {
		return nil
	}
	if !decodable(scope) {
		scope = client.Scope{AgentIDs: []uuid.UUID{}}
	}
	return &feedScope{scope: scope, text: scope.String()}
}

// decodable reports whether the scope is one for Postgres, too.
func decodable(scope client.Scope) bool {
	text, err := json.Marshal(scope)
	if err != nil {
		return false
	}
	_, err = jsonb.Object(text)
	return err == nil
}

func (s *feedScope) of() client.Scope {
	if s == nil {
		return client.Scope{}
	}
	return s.scope
}

func (s *feedScope) key() string {
	if s == nil {
		return ""
	}
	return s.text
}
