package wsfeed

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agentexec/agentexec/internal/jsonb"
)

const maxListLimit = 1000

var statuses = []string{"QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCELED"}

// normalise checks a filter and brings it into one form, so that equal filters share one list. Values that Postgres
// cannot read must not get there: one query serves the lists of all clients.
func (f *ListFilter) normalise() error {
	for i, s := range f.Statuses {
		f.Statuses[i] = strings.ToUpper(s) // either case, as SQL, HTTP and the command line
		if !slices.Contains(statuses, f.Statuses[i]) {
			return fmt.Errorf("list.statuses: unknown status %.50q", s)
		}
	}
	slices.Sort(f.Statuses)
	if f.Statuses = slices.Compact(f.Statuses); len(f.Statuses) == 0 {
		f.Statuses = nil // the same as leaving them out
	}
	if f.Limit == 0 {
		f.Limit = 50
	}
	if f.Limit < 1 || f.Limit > maxListLimit {
		return fmt.Errorf("list.limit must be between 1 and %d, got %d", maxListLimit, f.Limit)
	}
	if err := jsonb.Text(f.AgentType); err != nil {
		return fmt.Errorf("list.agent_type: %w", err)
	}
	if err := f.normaliseMetadata(); err != nil {
		return err
	}
	if n := f.size(); n > maxFilterBytes {
		return fmt.Errorf("list: agent_type, metadata and statuses must be at most %d bytes as JSON, got %d", maxFilterBytes, n)
	}
	return nil
}

func (f *ListFilter) normaliseMetadata() error {
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

// metadataOf writes a filter in one form: keys in order, alternatives in order and each once. nil asks for nothing.
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
