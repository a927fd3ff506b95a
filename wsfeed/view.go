package wsfeed

import (
	"encoding/json"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/jsonb"
	"github.com/agentexec/agentexec/pkg/client"
)

// view is what there is for somebody: a scope, with the text that tells it from others. nil is everything.
type view struct {
	scope client.Scope
	text  string
}

// newView returns the view of a scope. One that Postgres could not read shows nothing: the tail asks for the lists of all
// clients with one query, which it must not break.
func newView(scope client.Scope) *view {
	if scope.IsZero() {
		return nil
	}
	if !decodable(scope) {
		scope = client.Scope{AgentIDs: []uuid.UUID{}}
	}
	return &view{scope: scope, text: scope.String()}
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

func (v *view) of() client.Scope {
	if v == nil {
		return client.Scope{}
	}
	return v.scope
}

func (v *view) key() string {
	if v == nil {
		return ""
	}
	return v.text
}
