package match

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agentexec/agentexec/internal/jsonb"
	"github.com/agentexec/agentexec/pkg/client"
)

// MaxLimit is the largest limit of a list.
const MaxLimit = 1000

// Filter says which activities a live list holds. It is wsfeed.ListFilter, whose comments say what the fields mean; the compiler
// checks that the fields are the same.
type Filter struct {
	Statuses        []string        `json:"statuses,omitempty"`
	AgentType       string          `json:"agent_type,omitempty"`
	Metadata        json.RawMessage `json:"metadata,omitempty"`
	Stale           *bool           `json:"stale,omitempty"`
	Limit           int             `json:"limit,omitempty"`
	Sort            string          `json:"sort,omitempty"`
	Order           string          `json:"order,omitempty"`
	Since           string          `json:"since,omitempty"`
	Until           string          `json:"until,omitempty"`
	ParentAgentID   string          `json:"parent_agent_id,omitempty"`
	RootAgentID     string          `json:"root_agent_id,omitempty"`
	RootsOnly       bool            `json:"roots_only,omitempty"`
	Waiting         *bool           `json:"waiting,omitempty"`
	Stopping        *bool           `json:"stopping,omitempty"`
	IncludeMetadata bool            `json:"include_metadata,omitempty"`
}

// Normalise checks a filter and brings it into one form, so that equal filters share one list. It rejects values that
// Postgres cannot decode, because one query serves the lists of all clients.
func (f *Filter) Normalise() error {
	for i, s := range f.Statuses {
		status, err := client.ParseStatusFold(s)
		if err != nil {
			return fmt.Errorf("list.statuses: unknown status %.50q", s)
		}
		f.Statuses[i] = string(status)
	}
	slices.Sort(f.Statuses)
	if f.Statuses = slices.Compact(f.Statuses); len(f.Statuses) == 0 {
		f.Statuses = nil // the same as leaving them out
	}
	if f.Limit == 0 {
		f.Limit = 50
	}
	if f.Limit < 1 || f.Limit > MaxLimit {
		return fmt.Errorf("list.limit must be between 1 and %d, got %d", MaxLimit, f.Limit)
	}
	if err := jsonb.Text(f.AgentType); err != nil {
		return fmt.Errorf("list.agent_type: %w", err)
	}
	if err := f.normaliseMetadata(); err != nil {
		return err
	}
	if err := f.normaliseOrder(); err != nil {
		return err
	}
	if err := f.normaliseTree(); err != nil {
		return err
	}
	if n := f.Size(); n > maxFilterBytes {
		return fmt.Errorf("list: agent_type, metadata, statuses and the other filters must be at most %d bytes as JSON, got %d", maxFilterBytes, n)
	}
	return nil
}

// normaliseTree does the same for the agent_ids of a parent and a root.
func (f *Filter) normaliseTree() error {
	for name, text := range map[string]*string{"parent_agent_id": &f.ParentAgentID, "root_agent_id": &f.RootAgentID} {
		if *text == "" {
			continue
		}
		id, err := client.ParseAgentID(*text)
		if err != nil {
			return fmt.Errorf("list.%s must be a UUID, got %.50q", name, *text)
		}
		*text = id.String()
	}
	return nil
}

// normaliseOrder does the same for the order and the range. The defaults are left out.
func (f *Filter) normaliseOrder() error {
	switch client.Sort(f.Sort) {
	case "", client.SortDuration, client.SortActivity:
	case client.SortCreated:
		f.Sort = ""
	default:
		return fmt.Errorf("list.sort must be created, duration or activity, got %.50q", f.Sort)
	}
	switch client.Order(f.Order) {
	case "", client.OrderAsc:
	case client.OrderDesc:
		f.Order = ""
	default:
		return fmt.Errorf("list.order must be desc or asc, got %.50q", f.Order)
	}
	for name, text := range map[string]*string{"since": &f.Since, "until": &f.Until} {
		if *text == "" {
			continue
		}
		when, err := client.ParseWhen(*text)
		if err != nil {
			return fmt.Errorf("list.%s must be a time such as 2026-01-02T15:04:05Z, or a duration before now such as 15m, 1h or 7d, got %.50q", name, *text)
		}
		*text = when.String()
	}
	return nil
}

func (f *Filter) normaliseMetadata() error {
	if len(f.Metadata) == 0 {
		return nil
	}
	objects, err := jsonb.Filter(f.Metadata)
	switch {
	case errors.Is(err, jsonb.ErrNoFilter):
		return fmt.Errorf("list.metadata %w", err)
	case err != nil:
		return fmt.Errorf("list.metadata: %w", err)
	}
	f.Metadata = metadataOf(objects)
	return nil
}

// metadataOf returns a filter in one form: keys in order, alternatives in order and each once. nil requires nothing.
func metadataOf(objects []map[string]any) json.RawMessage {
	texts := make([]string, len(objects))
	for i, object := range objects {
		text, _ := json.Marshal(object) // it was just decoded
		texts[i] = string(text)
	}
	slices.Sort(texts)
	switch texts = slices.Compact(texts); len(texts) {
	case 0:
		return nil
	case 1:
		return json.RawMessage(texts[0])
	}
	return json.RawMessage("[" + strings.Join(texts, ",") + "]")
}

// maxFilterBytes is the largest filter of a list, as JSON.
const maxFilterBytes = 1024

// Size returns the filter's bytes as the limits count them.
func (f *Filter) Size() int {
	counted := Filter{
		Statuses: f.Statuses, AgentType: f.AgentType, Metadata: f.Metadata, Stale: f.Stale,
		ParentAgentID: f.ParentAgentID, RootAgentID: f.RootAgentID, RootsOnly: f.RootsOnly, Waiting: f.Waiting, Stopping: f.Stopping,
	}
	text, _ := json.Marshal(counted) // plain data always marshals
	return len(text)
}
