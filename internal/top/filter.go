package top

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// Filter is a parsed text of the search field: tokens such as type:research, org=1, status:error and since:1h, and words that the
// shown text must contain.
type Filter struct {
	agentType    string
	states       []state
	metadata     map[string]any
	since, until client.When
	idPrefix     string
	words        []string // lower case
}

// ParseFilter reads the text of the search field. A word in double quotes may hold spaces, also behind : and =.
func ParseFilter(text string) (Filter, error) {
	var f Filter
	tokens, err := split(text)
	if err != nil {
		return f, err
	}
	for _, t := range tokens {
		if err := f.add(t); err != nil {
			return Filter{}, err
		}
	}
	return f, nil
}

// token is a word of the search field. value is quoted if quotes were around it.
type token struct {
	name, value string
	operator    byte // ':' or '=', 0 for a word alone
	quoted      bool
}

func (f *Filter) add(t token) (err error) {
	switch t.operator {
	case '=':
		if f.metadata == nil {
			f.metadata = map[string]any{}
		}
		f.metadata[t.name] = client.MetadataValue(t.value)
		if t.quoted {
			f.metadata[t.name] = t.value
		}
		return nil
	case 0:
		f.words = append(f.words, strings.ToLower(t.value))
		return nil
	}
	switch t.name {
	case "type":
		f.agentType = t.value
	case "status":
		for name := range strings.SplitSeq(strings.ToLower(t.value), ",") {
			s, ok := stateNamed(name)
			if !ok {
				return fmt.Errorf("status:%s is no status: use queued, running, waiting, stale, stopping, complete, error or canceled", terminal.Printable(name))
			}
			f.states = append(f.states, s)
		}
	case "since":
		f.since, err = client.ParseWhen(t.value)
	case "until":
		f.until, err = client.ParseWhen(t.value)
	case "id":
		f.idPrefix = strings.ReplaceAll(strings.ToLower(t.value), "-", "")
		if len(f.idPrefix) < 4 || len(f.idPrefix) > 32 || strings.Trim(f.idPrefix, "0123456789abcdef") != "" {
			return fmt.Errorf("id:%s must be the first 4 to 32 digits of an id", terminal.Printable(t.value))
		}
	default: // a text such as https://example.com
		f.words = append(f.words, strings.ToLower(t.name+":"+t.value))
	}
	if err != nil {
		return fmt.Errorf("%s:%s must be a duration before now, such as 15m or 7d, or a time", t.name, terminal.Printable(t.value))
	}
	return nil
}

// split splits a text into tokens.
func split(text string) (tokens []token, err error) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		var t token
		end := strings.IndexAny(text, ":=\" \t")
		if end > 0 && (text[end] == ':' || text[end] == '=') {
			t.name, t.operator, text = text[:end], text[end], text[end+1:]
		}
		if rest, quoted := strings.CutPrefix(text, `"`); quoted {
			t.quoted = true
			if t.value, text, quoted = strings.Cut(rest, `"`); !quoted {
				return nil, errors.New(`a quote " is not closed`)
			}
		} else {
			end := strings.IndexAny(text, " \t")
			if end < 0 {
				end = len(text)
			}
			t.value, text = text[:end], text[end:]
		}
		if t.value == "" && !t.quoted {
			return nil, fmt.Errorf("%s%c has no value", terminal.Printable(t.name), t.operator)
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

// params returns the parameters of the list for a view and a filter. What they cannot express, matches decides.
func (f Filter) params(v view, order order) client.ListParams {
	params := client.ListParams{
		PageSize: pageSize, AgentType: f.agentType, MetadataFilter: f.metadata, Statuses: v.statuses,
		Since: f.since, Until: f.until, IDPrefix: f.idPrefix,
	}
	if order.by > 0 { // the first is the default
		params.Sort = orders[order.by].param
	}
	if order.ascending {
		params.Order = client.OrderAsc
	}
	if len(f.states) > 0 {
		params.Statuses = nil
		for _, s := range f.states {
			params.Statuses = append(params.Statuses, s.statuses()...)
		}
		only := func(wanted state) bool {
			return !slices.ContainsFunc(f.states, func(s state) bool { return s != wanted })
		}
		switch {
		case only(silent):
			params.Stale = new(true)
		case only(waiting):
			params.Waiting = new(true)
		case only(stopping):
			params.Stopping = new(true)
		}
	}
	return params
}

// narrows reports whether the filter leaves anything out.
func (f Filter) narrows() bool {
	return f.agentType != "" || len(f.states) > 0 || len(f.metadata) > 0 || len(f.words) > 0 || f.idPrefix != "" || !f.since.IsZero() || !f.until.IsZero()
}

// matches reports whether an item is one of those that were asked for.
func (f Filter) matches(item client.ListItem) bool {
	if len(f.states) > 0 {
		found := false
		for _, s := range f.states {
			now := stateOf(item.Activity)
			found = found || s == now || s == running && item.Status == client.StatusRunning || s == queued && item.Status == client.StatusQueued ||
				s == silent && item.Stale || s == waiting && item.OpenQuestions > 0
		}
		if !found {
			return false
		}
	}
	if len(f.words) == 0 {
		return true
	}
	text := strings.ToLower(item.AgentType + "\n" + item.AgentID.String() + "\n" + latest(item) + "\n" + string(item.Metadata))
	for _, word := range f.words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}
