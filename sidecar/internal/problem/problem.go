package problem

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// The codes of a problem. Refusals of SQL carry the SQLSTATE; the others have words of our own, so that a program can tell "no
// such activity" from "no such route".
const (
	codeNotFound = "TA404" // no such activity
	codeFinished = "TA409" // the state machine rejects the write
	CodeInvalid  = "TA422" // a bad argument
	codeExists   = "23505" // the agent_id is taken
	codeLocked   = "55P03" // 503: a row stays locked; Retry-After says when to come back
	CodeDenied   = "42501" // outside the scope, or a right that was not granted; never the code of a problem

	codeMalformed        = "malformed"              // 400: no JSON, no body where one is required, or an invalid request
	codeUnauthorized     = "unauthorized"           // 401: no token, or an invalid one
	codeForbidden        = "forbidden"              // 403: a page of another origin, or a right that was not granted
	codeNoRoute          = "no_route"               // 404: no route has this path
	CodeMethodNotAllowed = "method_not_allowed"     // 405: Allow lists the methods
	codeTimeout          = "timeout"                // 408: the body did not arrive in time
	codeTooLarge         = "too_large"              // 413: the body is over the limit
	codeUnsupportedMedia = "unsupported_media_type" // 415: the body is not application/json
	codeOverLimit        = "over_limit"             // 429: over a limit; Retry-After says when to come back
	codeUpgradeRequired  = "upgrade_required"       // 426: this path needs a WebSocket
	codeInternal         = "internal"               // 500: a failure of the sidecar; the log has more
	CodeUnavailable      = "unavailable"            // 503: the database cannot be reached; Retry-After says when to come back
)

// CodeOf returns the usual code of a status.
func CodeOf(status int) string {
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
		return CodeMethodNotAllowed
	case http.StatusRequestTimeout:
		return codeTimeout
	case http.StatusConflict:
		return codeFinished
	case http.StatusRequestEntityTooLarge:
		return codeTooLarge
	case http.StatusUnsupportedMediaType:
		return codeUnsupportedMedia
	case http.StatusUnprocessableEntity:
		return CodeInvalid
	case http.StatusTooManyRequests:
		return codeOverLimit
	case http.StatusUpgradeRequired:
		return codeUpgradeRequired
	case http.StatusServiceUnavailable:
		return CodeUnavailable
	}
	return codeInternal
}

// ContentType is the media type of a problem.
const ContentType = "application/problem+json"

// RetryAfter is after how many seconds a client should retry, where the database is unreachable or a limit is exceeded.
const RetryAfter = 2

// Problem is the answer to a request that was refused or failed (RFC 9457). It is also an error. The OpenAPI document
// describes its fields.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Errors []Part `json:"errors,omitempty"`

	RetryAfter int `json:"-"` // seconds; 0 for the usual
}

// Part is the error in one part of a request.
type Part struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// New returns a problem; without a code it has the usual one of its status.
func New(status int, code, detail string) *Problem {
	if code == "" {
		code = CodeOf(status)
	}
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// Write answers with a problem. An empty code is the usual one of the status. Headers that the caller has set
// are sent too.
func Write(w http.ResponseWriter, status int, code, detail string) {
	New(status, code, detail).Write(w)
}

// Write answers with the problem. Headers that the caller has set are sent too, in place of those of the problem.
func (p *Problem) Write(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range p.GetHeaders() {
		if header.Get(name) == "" {
			header[name] = values
		}
	}
	header.Set("Content-Type", ContentType)
	w.WriteHeader(p.Status)
	_ = EncodeJSON(w, p)
}

// Refuse answers with a problem.
func Refuse(w http.ResponseWriter, err error) {
	p := Internal()
	errors.As(err, &p)
	p.Write(w)
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the status of the answer, for wsfeed.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns the headers of the answer, for wsfeed too.
func (p *Problem) GetHeaders() http.Header {
	switch p.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return http.Header{"Retry-After": {strconv.Itoa(cmp.Or(p.RetryAfter, RetryAfter))}}
	case http.StatusUnauthorized:
		return http.Header{"Www-Authenticate": {`Bearer realm="agentexec"`}}
	}
	return nil
}

// Clipped returns the beginning of a text from a client.
func Clipped(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

// Quoted quotes a text from a client, or its beginning.
func Quoted(text string) string {
	if short := Clipped(text); short != text {
		return strconv.Quote(short) + "..."
	}
	return strconv.Quote(text)
}

// EncodeJSON writes v as JSON, without escaping HTML characters. A client that disconnected is no error.
func EncodeJSON(w io.Writer, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, _ = w.Write(buf.Bytes())
	return nil
}
