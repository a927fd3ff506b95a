package source

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// QuestionsJSON implements Source.
func (s *Sidecar) QuestionsJSON(ctx context.Context, params client.QuestionListParams) (json.RawMessage, error) {
	query := url.Values{}
	for name, value := range map[string]string{"state": string(params.State), "agent_type": params.AgentType, "after": params.After} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if params.AnyState {
		query.Set("state", "ANY")
	}
	if params.PageSize != 0 {
		query.Set("page_size", strconv.Itoa(params.PageSize))
	}
	setID(query, "agent_id", params.AgentID)
	if err := setMetadata(query, params.MetadataFilter); err != nil {
		return nil, err
	}
	return s.get(ctx, "/v1/questions", query)
}

// Answer implements Source.
func (s *Sidecar) Answer(ctx context.Context, id uuid.UUID, key string, answer any, _ string) (client.AskedQuestion, error) {
	return s.closeQuestion(ctx, id, key, "answer", map[string]any{"answer": answer})
}

// Decline implements Source.
func (s *Sidecar) Decline(ctx context.Context, id uuid.UUID, key, _ string) (client.AskedQuestion, error) {
	return s.closeQuestion(ctx, id, key, "decline", struct{}{})
}

func (s *Sidecar) closeQuestion(ctx context.Context, id uuid.UUID, key, action string, body any) (client.AskedQuestion, error) {
	text, err := marshal(body)
	if err != nil {
		return client.AskedQuestion{}, err
	}
	var asked client.AskedQuestion
	err = decode(&asked)(s.ask(ctx, http.MethodPost, "/v1/activities/"+id.String()+"/questions/"+segment(key)+"/"+action, nil, text))
	asked.Schema, asked.Answer = notNull(asked.Schema), answerOf(asked)
	return asked, err
}

// segment writes a text as one segment of a path. A segment of dots would be a step in the tree.
func segment(text string) string {
	if strings.Trim(text, ".") == "" {
		return strings.ReplaceAll(text, ".", "%2E")
	}
	return url.PathEscape(text)
}
