package wsfeed

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/agentexec/agentexec/internal/jsonb"
	"github.com/agentexec/agentexec/pkg/client"
)

const maxListLimit = 1000

// normalise checks a filter and brings it into one form, so that equal filters share one list. It rejects values that
// Postgres cannot decode, because one query serves the lists of all clients.
func (f *ListFilter) normalise() error {
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
	if f.Limit < 1 || f.Limit > maxListLimit {
		return fmt.Errorf("list.limit must be between 1 and %d, got %d", maxListLimit, f.Limit)
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
	if n := f.size(); n > maxFilterBytes {
		return fmt.Errorf("list: agent_type, metadata, statuses and the other filters must be at most %d bytes as JSON, got %d", maxFilterBytes, n)
	}
	return nil
}

// normaliseTree does the same for the agent_ids of a parent and a root.
func (f *ListFilter) normaliseTree() error {
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
func (f *ListFilter) normaliseOrder() error {
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

// size returns the filter's bytes as the limits count them.
func (f *ListFilter) size() int {
	counted := ListFilter{
		Statuses: f.Statuses, AgentType: f.AgentType, Metadata: f.Metadata, Stale: f.Stale,
		ParentAgentID: f.ParentAgentID, RootAgentID: f.RootAgentID, RootsOnly: f.RootsOnly, Waiting: f.Waiting, Stopping: f.Stopping,
	}
	text, _ := json.Marshal(counted) // plain data always marshals
	return len(text)
}

// filters counts the lists, and the bytes of their filters, of each subject that has any.
type filters struct {
	mu                 sync.Mutex
	bySubject          map[string]*filterTally
	maxLists, maxBytes int
}

type filterTally struct{ lists, bytes int }

func newFilters(c *Config) *filters {
	return &filters{bySubject: make(map[string]*filterTally), maxLists: c.MaxListsPerSubject, maxBytes: c.MaxFilterBytesPerSubject}
}

// take counts one more list, or returns the limit that it would exceed, and advice.
func (f *filters) take(subject string, bytes int) (limit, advice string) {
	if subject == "" {
		return "", ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.bySubject[subject]
	if t == nil {
		t = new(filterTally)
	}
	switch {
	case f.maxLists > 0 && t.lists >= f.maxLists:
		return LimitListsPerSubject, fmt.Sprintf("this token's subject watches %d lists: unsubscribe from some", f.maxLists)
	case f.maxBytes > 0 && t.bytes+bytes > f.maxBytes:
		return LimitFilterBytesPerSubject, fmt.Sprintf("the lists of this token's subject have filters of %d bytes: unsubscribe from some", f.maxBytes)
	}
	t.lists++
	t.bytes += bytes
	f.bySubject[subject] = t
	return "", ""
}

func (f *filters) leave(subject string, bytes int) {
	if subject == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.bySubject[subject]
	t.lists--
	t.bytes -= bytes
	if t.lists == 0 {
		delete(f.bySubject, subject)
	}
}

// takeFilter counts a list's filter for the socket and its subject, or returns the limit that it would exceed, and advice.
// Only the reader calls it.
func (c *conn) takeFilter(filter *ListFilter) (bytes int, limit, advice string) {
	bytes = filter.size()
	c.mu.Lock()
	defer c.mu.Unlock()
	if most := c.hub.cfg.MaxFilterBytes; c.filterBytes+bytes > most {
		return 0, LimitFilterBytes, fmt.Sprintf("the lists of this socket have filters of %d bytes: unsubscribe from some, or open another socket", most)
	}
	if limit, advice = c.hub.filters.take(c.access.Subject, bytes); limit == "" {
		c.filterBytes += bytes
	}
	return bytes, limit, advice
}

// leaveFilter subtracts a subscription's filter from the counts. Called with mu held.
func (c *conn) leaveFilter(s *connSub) {
	if s.filterBytes > 0 {
		c.filterBytes -= s.filterBytes
		c.hub.filters.leave(c.access.Subject, s.filterBytes)
		s.filterBytes = 0
	}
}
