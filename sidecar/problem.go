package sidecar

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// The codes of a problem. Refusals of SQL carry the SQLSTATE; the others have words of our own, so that a program tells
// "no such activity" from "no such route".
const (
	codeNotFound = "TA404" // no such activity
	codeFinished = "TA409" // the state machine refuses
	codeInvalid  = "TA422" // a bad argument
	codeExists   = "23505" // the agent_id is taken
	codeLocked   = "55P03" // 503: a row stays locked; Retry-After says when to come back
	codeDenied   = "42501" // outside the scope, or a right that was not granted; no code of a problem

	codeMalformed        = "malformed"              // 400: no JSON, no body where one must be, a broken request
	codeUnauthorized     = "unauthorized"           // 401: no token, or one that does not hold
	codeForbidden        = "forbidden"              // 403: a page of another origin, or a right that was not granted
	codeNoRoute          = "no_route"               // 404: nothing lives at this path
	codeMethodNotAllowed = "method_not_allowed"     // 405: Allow says what is
	codeTimeout          = "timeout"                // 408: the body did not come in time
	codeTooLarge         = "too_large"              // 413: the body is over the limit
	codeUnsupportedMedia = "unsupported_media_type" // 415: the body is no application/json
	codeOverLimit        = "over_limit"             // 429: over a limit; Retry-After says when to come back
	codeUpgradeRequired  = "upgrade_required"       // 426: a WebSocket lives here
	codeInternal         = "internal"               // 500: our fault; the log has more
	codeUnavailable      = "unavailable"            // 503: the database cannot be reached; Retry-After says when to come back
)

// codeOf is the code of a problem that nothing more precise is known of.
func codeOf(status int) string {
	switch status {
	case http.StatusBadRequest:
		return codeMalformed
	case http.StatusUnauthorized:
		return codeUnauthorized
	case http.StatusForbidden:
		return codeForbidden
	case http.StatusNotFound:
		return codeNoRoute
	case http.StatusMethodNotAllowed:
		return codeMethodNotAllowed
	case http.StatusRequestTimeout:
		return codeTimeout
	case http.StatusConflict:
		return codeFinished
	case http.StatusRequestEntityTooLarge:
		return codeTooLarge
	case http.StatusUnsupportedMediaType:
		return codeUnsupportedMedia
	case http.StatusUnprocessableEntity:
		return codeInvalid
	case http.StatusTooManyRequests:
		return codeOverLimit
	case http.StatusUpgradeRequired:
		return codeUpgradeRequired
	case http.StatusServiceUnavailable:
		return codeUnavailable
	}
	return codeInternal
}

const problemType = "application/problem+json"

// retryAfter is when a client that met an unreachable database, or a limit, should come back, in seconds.
const retryAfter = 2

// problem is the answer to a request that was refused or failed (RFC 9457). It is also an error, so a handler returns
// it and huma writes it.
type problem struct {
	Type   string         `json:"type" format:"uri-reference" example:"about:blank" doc:"Always about:blank: code tells the kinds apart."`
	Title  string         `json:"title" example:"Conflict" doc:"The name of the status."`
	Status int            `json:"status" example:"409" doc:"The status of the response."`
	Detail string         `json:"detail" example:"activity 8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11 is COMPLETE and cannot become RUNNING" doc:"What happened, for people."`
	Code   string         `json:"code" example:"TA409" doc:"What happened, for programs: TA404, TA409, TA422, 23505 and 55P03 as in SQL, or a word such as unavailable."`
	Errors []problemError `json:"errors,omitempty" nullable:"false" doc:"What is wrong with the request, part by part, where more is known."`

	retryAfter int // seconds; 0 for the usual

	_ struct{} `additionalProperties:"true"`
}

// problemError is what is wrong with one part of a request.
type problemError struct {
	Location string `json:"location" example:"body.percentage" doc:"Where: body, body.FIELD, query.PARAMETER or path.PARAMETER."`
	Message  string `json:"message" example:"must be an integer, got \"half\"" doc:"What is wrong with it."`

	_ struct{} `additionalProperties:"true"`
}

// newProblem returns a problem; without a code it has the usual one of its status.
func newProblem(status int, code, detail string) *problem {
	if code == "" {
		code = codeOf(status)
	}
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// writeProblem answers with a problem. An empty code is the usual one of the status. Headers that the caller has set
// are sent too.
func writeProblem(w http.ResponseWriter, status int, code, detail string) {
	newProblem(status, code, detail).write(w)
}

func (p *problem) write(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range p.GetHeaders() {
		if header.Get(name) == "" {
			header[name] = values
		}
	}
	header.Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_ = encodeJSON(w, p)
}

// refuse answers with a problem.
func refuse(w http.ResponseWriter, err error) {
	p := internalProblem()
	errors.As(err, &p)
	p.write(w)
}

// Error implements error.
func (p *problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *problem) GetHeaders() http.Header {
	switch p.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return http.Header{"Retry-After": {strconv.Itoa(cmp.Or(p.retryAfter, retryAfter))}}
	case http.StatusUnauthorized:
		return http.Header{"Www-Authenticate": {`Bearer realm="agentexec"`}}
	}
	return nil
}

// ContentType implements huma.ContentTypeFilter.
func (p *problem) ContentType(string) string { return problemType }

var (
	_ huma.StatusError       = (*problem)(nil)
	_ huma.HeadersError      = (*problem)(nil)
	_ huma.ContentTypeFilter = (*problem)(nil)
)

// clipped is the beginning of what a client sent.
func clipped(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

// encodeJSON writes v as JSON, characters of HTML as they are. A client that is gone is no error.
func encodeJSON(w io.Writer, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, _ = w.Write(buf.Bytes())
	return nil
}
