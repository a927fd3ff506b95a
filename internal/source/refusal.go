package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agentexec/agentexec/pkg/client"
)

// ConnectError says that a sidecar did not answer. Its text does not hold the reason: see Unwrap.
type ConnectError struct {
	// URL is the address of the sidecar.
	URL string
	err error
}

// Error implements error.
func (e *ConnectError) Error() string { return fmt.Sprintf("cannot connect to %s: %s", e.URL, e.err) }

// Unwrap returns the reason.
func (e *ConnectError) Unwrap() error { return e.err }

// unreachable returns the error of a request that had no answer.
func (s *Sidecar) unreachable(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		if wrapped.Timeout() && !errors.Is(err, context.Canceled) {
			err = context.DeadlineExceeded
		} else {
			err = wrapped.Err
		}
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &ConnectError{URL: s.base.String(), err: err}
}

// RefusedError is an answer of a sidecar that refuses a request, other than those of SQL: these are a client.DBError, as from a
// database.
type RefusedError struct {
	// Status is that of the HTTP answer.
	Status int
	// Message says why, in one line.
	Message string
	// RetryAfter is when to try again, 0 where the answer does not say.
	RetryAfter time.Duration
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Message }

// Passing reports whether the same request may succeed later.
func (e *RefusedError) Passing() bool {
	return slices.Contains([]int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, e.Status)
}

// Lasting reports whether the same call would fail again: an argument is wrong, or the token does not allow the call. Any other
// failure may be an outage.
func Lasting(err error) bool {
	var refused *RefusedError
	return errors.Is(err, client.ErrInvalid) || errors.As(err, &refused) && !refused.Passing()
}

// NotAllowed reports whether the token, or the role of the database, does not allow a call.
func NotAllowed(err error) bool {
	var (
		refused *RefusedError
		db      *client.DBError
	)
	return errors.As(err, &refused) && refused.Status == http.StatusForbidden || errors.As(err, &db) && db.Code == "42501"
}

// refusal returns the error for an answer that is no success.
func (s *Sidecar) refusal(response *http.Response, body []byte) error {
	var problem struct {
		Detail string `json:"detail"`
		Code   string `json:"code"`
		Errors []struct {
			Location string `json:"location"`
			Message  string `json:"message"`
		} `json:"errors"`
	}
	refused := &RefusedError{Status: response.StatusCode}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		refused.RetryAfter = time.Duration(seconds) * time.Second
	}
	if !isJSON(response.Header) || json.Unmarshal(body, &problem) != nil || problem.Code == "" {
		refused.Message = fmt.Sprintf("%s answers %s: is that the address of an agentexec sidecar?", s.base, response.Status)
		if refused.Passing() {
			refused.Message = fmt.Sprintf("%s answers %s", s.base, response.Status)
		}
		return refused
	}
	message := problem.Detail
	if len(problem.Errors) > 0 {
		var parts []string
		for _, part := range problem.Errors {
			_, name, _ := strings.Cut(part.Location, ".")
			parts = append(parts, strings.TrimSpace(name+" "+part.Message))
		}
		message = strings.Join(parts, "; ")
	}
	switch problem.Code {
	case "TA404", "TA409", "TA422":
		return &client.DBError{Code: problem.Code, Message: message}
	}
	switch response.StatusCode {
	case http.StatusUnauthorized:
		message += "; give a token with AGENTEXEC_TOKEN or --token-file"
	case http.StatusForbidden:
		message = "the token does not allow it: " + message
	}
	refused.Message = fmt.Sprintf("%s refuses: %s", s.base, message)
	if refused.Passing() {
		refused.Message = fmt.Sprintf("%s: %s", s.base, message)
	}
	return refused
}

// isJSON reports whether an answer is JSON, or a problem document.
func isJSON(header http.Header) bool {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	return kind == "application/json" || kind == "application/problem+json"
}
