package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// SidecarConfig is where a sidecar is and how to use it.
type SidecarConfig struct {
	// URL is the address of the sidecar, http or https, with the path prefix that it is served under.
	URL string
	// Token returns the token to send, "" for none. It is called for each request, so that a renewed token is used. Default none.
	Token func() (string, error)
	// Outages learns of lost connections. Default nil.
	Outages *Outages
}

// Sidecar is the Source of a sidecar. It may be used from any number of goroutines.
type Sidecar struct {
	base    *url.URL
	token   func() (string, error)
	outages *Outages
	http    *http.Client

	probeEvery time.Duration
}

const (
	// answerTimeout bounds one request. The sidecar answers sooner: it waits at most some seconds for the database.
	answerTimeout = 30 * time.Second
	// maxAnswer bounds an answer. A page has at most 4 MiB, which its escapes can make several times longer.
	maxAnswer = 64 << 20
)

// NewSidecar checks the URL. It does not connect.
func NewSidecar(config SidecarConfig) (*Sidecar, error) {
	base, err := url.Parse(config.URL)
	switch {
	case err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https":
		return nil, errors.New("must be the address of a sidecar, such as https://example.com/agentexec")
	case base.User != nil:
		return nil, errors.New("must have no user and no password: a sidecar takes a token")
	case base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("must have nothing behind its path")
	}
	base.Path = strings.TrimRight(base.Path, "/")
	s := &Sidecar{base: base, token: config.Token, outages: config.Outages, probeEvery: probeEvery}
	s.http = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone(), Timeout: answerTimeout} //nolint:errcheck,forcetypeassert // net/http documents the type
	return s, nil
}

// Place returns the address of the sidecar without its scheme.
func (s *Sidecar) Place() string { return s.base.Host + s.base.Path }

// Close implements Source.
func (s *Sidecar) Close() { s.http.CloseIdleConnections() }

// ListJSON implements Source.
func (s *Sidecar) ListJSON(ctx context.Context, params client.ListParams) (json.RawMessage, error) {
	query, err := listQuery(params)
	if err != nil {
		return nil, err
	}
	return s.get(ctx, "/v1/activities", query)
}

// listQuery writes the parameters of a list as the HTTP API takes them.
func listQuery(params client.ListParams) (url.Values, error) {
	query := url.Values{}
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	number := func(name string, n int) {
		if n != 0 {
			query.Set(name, strconv.Itoa(n))
		}
	}
	for _, status := range params.Statuses {
		query.Add("status", status.String())
	}
	number("page", params.Page)
	number("page_size", params.PageSize)
	set("agent_type", params.AgentType)
	set("after", params.After)
	set("sort", string(params.Sort))
	set("order", string(params.Order))
	set("since", params.Since.String())
	set("until", params.Until.String())
	set("id_prefix", params.IDPrefix)
	if params.Stale != nil {
		query.Set("stale", strconv.FormatBool(*params.Stale))
	}
	if params.IncludeMetadata {
		query.Set("include_metadata", "true")
	}
	setID(query, "parent_agent_id", params.ParentAgentID)
	setID(query, "root_agent_id", params.RootAgentID)
	if params.RootsOnly {
		query.Set("roots_only", "true")
	}
	if params.Waiting != nil {
		query.Set("waiting", strconv.FormatBool(*params.Waiting))
	}
	if params.Stopping != nil {
		query.Set("stopping", strconv.FormatBool(*params.Stopping))
	}
	return query, setMetadata(query, params.MetadataFilter)
}

func setID(query url.Values, name string, id uuid.UUID) {
	if id != uuid.Nil {
		query.Set(name, id.String())
	}
}

// setMetadata writes a filter of metadata as the HTTP API takes it.
func setMetadata(query url.Values, filter map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(filter)) {
		value, ok := metadataText(filter[key])
		if !ok {
			return &client.DBError{Code: "TA422", Message: fmt.Sprintf(
				"metadata %q: a sidecar takes only a text, true, false or null: write %s=VALUE", key, key)}
		}
		query.Set("metadata."+key, value)
	}
	return nil
}

// metadataText is the inverse of client.MetadataValue. It reports false for a value that no text stands for.
func metadataText(value any) (string, bool) {
	switch v := value.(type) {
	case client.NumberOrText:
		return string(v), true
	case json.RawMessage:
		return string(v), true
	case string:
		return `"` + v + `"`, true
	case bool:
		return strconv.FormatBool(v), true
	case nil:
		return "null", true
	}
	return "", false
}

// DetailJSON implements Source. The sidecar answers in pages; DetailJSON reads and joins them.
func (s *Sidecar) DetailJSON(ctx context.Context, id uuid.UUID, params client.DetailParams) (json.RawMessage, error) {
	if len(params.MetadataFilter) > 0 {
		return nil, errors.New("the sidecar does not filter one activity by metadata")
	}
	answer, next, err := s.page(ctx, id, params)
	if err != nil || params.LogLimit != nil || next == nil {
		return answer, err
	}
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(answer, &whole); err != nil {
		return nil, err
	}
	var lines []json.RawMessage
	for {
		var page struct {
			Logs []json.RawMessage `json:"logs"`
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return nil, err
		}
		lines = append(lines, page.Logs...)
		if next == nil {
			break
		}
		params.AfterSeq = *next
		if answer, next, err = s.page(ctx, id, params); err != nil {
			return nil, err
		}
	}
	if whole["logs"], err = marshal(lines); err != nil {
		return nil, err
	}
	delete(whole, "next_after_seq")
	return marshal(whole)
}

// marshal is json.Marshal, which would write < as an escape.
func marshal(value any) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSpace(b.Bytes()), err
}

// PageJSON implements Source.
func (s *Sidecar) PageJSON(ctx context.Context, id uuid.UUID, params client.DetailParams) (json.RawMessage, error) {
	answer, _, err := s.page(ctx, id, params)
	return answer, err
}

// page reads an activity and its next lines. next is the AfterSeq of the next page, nil at the end.
func (s *Sidecar) page(ctx context.Context, id uuid.UUID, params client.DetailParams) (answer json.RawMessage, next *int, err error) {
	query := url.Values{}
	if params.AfterSeq != 0 {
		query.Set("after_seq", strconv.Itoa(params.AfterSeq))
	}
	if params.LogLimit != nil {
		query.Set("limit", strconv.Itoa(*params.LogLimit))
	}
	if params.IncludeMetadata {
		query.Set("include_metadata", "true")
	}
	answer, err = s.get(ctx, "/v1/activities/"+id.String(), query)
	var page struct {
		Next *int `json:"next_after_seq"`
	}
	return answer, page.Next, decode(&page)(answer, err)
}

// Logs implements Source.
func (s *Sidecar) Logs(ctx context.Context, id uuid.UUID, afterSeq int) iter.Seq2[client.Log, error] {
	return func(yield func(client.Log, error) bool) {
		var created time.Time
		for {
			answer, next, err := s.page(ctx, id, client.DetailParams{AfterSeq: afterSeq})
			var page client.Detail
			if err := decode(&page)(answer, err); err != nil {
				yield(client.Log{}, err)
				return
			}
			if created.IsZero() {
				created = page.CreatedAt
			}
			if !created.Equal(page.CreatedAt) {
				yield(client.Log{}, madeAgain(page.CreatedAt))
				return
			}
			for _, line := range page.Logs {
				line.Data = notNull(line.Data)
				if !yield(line, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			afterSeq = *next
		}
	}
}

// madeAgain returns the error that an activity was deleted and created again.
func madeAgain(at time.Time) error {
	return fmt.Errorf("%w: it was deleted and made again at %s", client.ErrReset, at.Format(time.RFC3339Nano))
}

// Stats implements Source.
func (s *Sidecar) Stats(ctx context.Context, params client.StatsParams) (*client.Stats, error) {
	if params.Since.IsZero() {
		params.Since = client.Ago(time.Hour) // the default; without a range, the sidecar answers with the counts alone
	}
	query := url.Values{"since": {params.Since.String()}}
	if params.Bucket != 0 {
		query.Set("bucket", params.Bucket.String())
	}
	stats := new(client.Stats)
	if err := decode(stats)(s.get(ctx, "/v1/stats", query)); err != nil {
		return nil, err
	}
	return stats, nil
}

// Cancel implements Source.
func (s *Sidecar) Cancel(ctx context.Context, id uuid.UUID, cancel Cancel) (client.Log, error) {
	body := struct {
		Message string `json:"message,omitempty"`
		Grace   string `json:"grace,omitempty"`
		Tree    bool   `json:"tree,omitempty"`
	}{Message: cancel.Message, Tree: cancel.Tree}
	switch {
	case cancel.Never:
		body.Grace = "never"
	case cancel.Grace != nil:
		body.Grace = cancel.Grace.String()
	}
	text, err := json.Marshal(body)
	if err != nil {
		return client.Log{}, err
	}
	var line client.Log
	err = decode(&line)(s.ask(ctx, http.MethodPost, "/v1/activities/"+id.String()+"/cancel", nil, text))
	line.Data = notNull(line.Data)
	return line, err
}

func (s *Sidecar) get(ctx context.Context, path string, query url.Values) (json.RawMessage, error) {
	return s.ask(ctx, http.MethodGet, path, query, nil)
}

// ask sends a request and returns the JSON of the answer. Outages learns whether there was one.
func (s *Sidecar) ask(ctx context.Context, method, path string, query url.Values, body []byte) (json.RawMessage, error) {
	address := s.base.JoinPath(path)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if request.Header, err = s.header(); err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := s.do(request)
	var refused *RefusedError
	switch {
	case errors.Is(err, context.Canceled):
	case errors.As(err, new(*ConnectError)), errors.As(err, &refused) && refused.Passing():
		s.outages.note(err)
	default:
		s.outages.note(nil)
	}
	return answer, err
}

// do sends a request and returns the JSON of the answer, or the error that the answer is.
func (s *Sidecar) do(request *http.Request) (json.RawMessage, error) {
	response, err := s.http.Do(request)
	if err != nil {
		return nil, s.unreachable(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, s.unreachable(err)
	}
	if response.StatusCode >= http.StatusMultipleChoices || !isJSON(response.Header) {
		return nil, s.refusal(response, answer)
	}
	return answer, nil
}

// header returns the header of a request: the token, where there is one.
func (s *Sidecar) header() (http.Header, error) {
	header := http.Header{}
	if s.token == nil {
		return header, nil
	}
	token, err := s.token()
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return header, err
}
