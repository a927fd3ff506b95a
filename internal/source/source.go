// Package source answers the reading commands from a database or from a sidecar: one interface, Source, that both implement with
// the same answers and errors. Database calls pkg/client. Sidecar calls the HTTP API and the feed of a sidecar.
//
// May import: pkg/client, internal/backoff.
package source

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// Source is a place to read activities from. All methods may be called from several goroutines, unless the constructor says
// otherwise. errors.Is finds the sentinels of pkg/client in their errors.
type Source interface {
	// ListJSON returns a page of activities as the JSON of agentexec.list_activities.
	ListJSON(ctx context.Context, params client.ListParams) (json.RawMessage, error)
	// DetailJSON returns an activity and its lines as the JSON of agentexec.activity_detail.
	DetailJSON(ctx context.Context, id uuid.UUID, params client.DetailParams) (json.RawMessage, error)
	// PageJSON returns an activity and its next lines, at most 1,000 or 4 MiB, as client.DetailPageJSON.
	PageJSON(ctx context.Context, id uuid.UUID, params client.DetailParams) (json.RawMessage, error)
	// Logs returns the lines after afterSeq that exist, page by page, as client.Logs.
	Logs(ctx context.Context, id uuid.UUID, afterSeq int) iter.Seq2[client.Log, error]
	// Watch follows an activity to its end, as client.Watch.
	Watch(ctx context.Context, id uuid.UUID, afterSeq int) iter.Seq2[client.Log, error]
	// FindID returns the agent_id that begins with prefix, as client.FindID.
	FindID(ctx context.Context, prefix string) (uuid.UUID, error)
	// Stats returns the counts of now, and what happened since a time, as client.Stats.
	Stats(ctx context.Context, params client.StatsParams) (*client.Stats, error)
	// Cancel cancels an activity, or requests that its worker ends it, as client.Cancel.
	Cancel(ctx context.Context, id uuid.UUID, cancel Cancel) (client.Log, error)
	// QuestionsJSON returns a page of questions as the JSON of agentexec.list_questions.
	QuestionsJSON(ctx context.Context, params client.QuestionListParams) (json.RawMessage, error)
	// Answer closes a question with an answer, as client.Answer. by names the person. A sidecar ignores it and stores the subject of
	// the token.
	Answer(ctx context.Context, id uuid.UUID, key string, answer any, by string) (client.AskedQuestion, error)
	// Decline closes a question without an answer, as client.Decline. by is that of Answer.
	Decline(ctx context.Context, id uuid.UUID, key, by string) (client.AskedQuestion, error)
	// Close releases the connections.
	Close()
}

// Cancel says how to cancel. The zero value is a request with the default grace period.
type Cancel struct {
	// Message is the message of the line. Default that of SQL.
	Message string
	// Grace is the time that the worker has to end a RUNNING activity, 0 for none. Default nil: that of SQL.
	Grace *time.Duration
	// Never leaves a RUNNING activity to its worker. Grace is then ignored.
	Never bool
	// Tree also cancels what is QUEUED and RUNNING below the activity.
	Tree bool
	// RequestedBy names the requester. A sidecar ignores it and stores the subject of the token.
	RequestedBy string
}

// List returns a page of activities.
func List(ctx context.Context, s Source, params client.ListParams) (*client.List, error) {
	list := new(client.List)
	if err := decode(list)(s.ListJSON(ctx, params)); err != nil {
		return nil, err
	}
	for i := range list.Items {
		list.Items[i].Metadata = notNull(list.Items[i].Metadata)
	}
	return list, nil
}

// Questions returns a page of questions.
func Questions(ctx context.Context, s Source, params client.QuestionListParams) (*client.QuestionList, error) {
	list := new(client.QuestionList)
	if err := decode(list)(s.QuestionsJSON(ctx, params)); err != nil {
		return nil, err
	}
	for i := range list.Items {
		list.Items[i].Schema, list.Items[i].Answer = notNull(list.Items[i].Schema), answerOf(list.Items[i])
	}
	return list, nil
}

// answerOf returns the answer of a question, which may be the JSON null, and nil where it has none.
func answerOf(q client.AskedQuestion) json.RawMessage {
	if q.State != client.QuestionAnswered {
		return nil
	}
	return q.Answer
}

// Detail returns an activity and its next lines, at most 1,000 or 4 MiB.
func Detail(ctx context.Context, s Source, id uuid.UUID, params client.DetailParams) (*client.Detail, error) {
	detail := new(client.Detail)
	if err := decode(detail)(s.PageJSON(ctx, id, params)); err != nil {
		return nil, err
	}
	detail.Metadata = notNull(detail.Metadata)
	for i := range detail.Logs {
		detail.Logs[i].Data = notNull(detail.Logs[i].Data)
	}
	return detail, nil
}

// Activity returns an activity without lines.
func Activity(ctx context.Context, s Source, id uuid.UUID) (client.Activity, error) {
	detail, err := Detail(ctx, s, id, client.DetailParams{LogLimit: new(0)})
	if err != nil {
		return client.Activity{}, err
	}
	return detail.Activity, nil
}

// decode returns a function that stores an answer in value, unless the call failed.
func decode(value any) func(json.RawMessage, error) error {
	return func(answer json.RawMessage, err error) error {
		if err != nil {
			return err
		}
		if err := json.Unmarshal(answer, value); err != nil {
			return fmt.Errorf("unexpected answer: %w", err)
		}
		return nil
	}
}

func notNull(data json.RawMessage) json.RawMessage {
	if string(data) == "null" {
		return nil
	}
	return data
}
