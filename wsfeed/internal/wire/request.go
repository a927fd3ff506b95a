package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/wsfeed/internal/match"
)

// Protocol is the WebSocket subprotocol.
const Protocol = "agentexec.v1"

const maxSubName = 255

// message is a message of a client. Unknown fields are refused: a misspelt after_seq must not pass silently.
type message struct {
	Type     string        `json:"type"`
	Sub      string        `json:"sub"`
	AgentID  string        `json:"agent_id"`
	AfterSeq *int64        `json:"after_seq"`
	List     *match.Filter `json:"list"`
	Token    string        `json:"token"`
}

// Request is a valid message.
type Request struct {
	Kind     string // subscribe, unsubscribe, ping, auth
	Token    string
	Sub      string
	AgentID  uuid.UUID
	AfterSeq int
	List     *match.Filter // set for a subscription to a list
}

// Parse parses a client's message. On an error, Request.Sub still names the subscription if it was legible.
func Parse(data []byte) (Request, error) {
	var m message
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(&m)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one JSON value in a frame")
		}
	}
	r := Request{Kind: m.Type, Sub: m.Sub}
	if len(r.Sub) > maxSubName {
		r.Sub = ""
		return r, fmt.Errorf("sub must be at most %d bytes", maxSubName)
	}
	if err != nil {
		return r, fmt.Errorf("not a message of %s: %s", Protocol, legible(err))
	}
	if m.Token != "" && m.Type != "auth" {
		return r, errors.New("token is for auth alone")
	}
	switch m.Type {
	case "ping":
		return r, nil
	case "auth":
		r.Sub, r.Token = "", m.Token
		if r.Token == "" {
			return r, errors.New("token is missing")
		}
		return r, nil
	case "unsubscribe":
		if r.Sub != "" {
			return r, nil
		}
		id, err := ParseID(m.AgentID)
		if err == nil {
			r.Sub = id.String() // as subscribe names it
		}
		return r, err
	case "subscribe":
		return r, r.subscribe(m)
	case "":
		return r, errors.New(`type is missing: "subscribe", "unsubscribe", "ping" or "auth"`)
	default:
		return r, fmt.Errorf(`unknown type %.50q: "subscribe", "unsubscribe", "ping" or "auth"`, m.Type)
	}
}

// legible translates an error of encoding/json into the protocol's terms.
func legible(err error) string {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the JSON is cut off"
	case !errors.As(err, &wrong):
		return fmt.Sprintf("%.200s", strings.TrimPrefix(err.Error(), "json: "))
	}
	field, want := wrong.Field, "an object"
	if field == "" {
		field = "a message"
	}
	switch wrong.Type.Kind() {
	case reflect.String:
		want = "a string"
	case reflect.Int, reflect.Int64:
		want = "an integer"
	case reflect.Slice:
		want = "an array"
	case reflect.Bool:
		want = "true or false"
	}
	return fmt.Sprintf("%s must be %s, got %.100s", field, want, wrong.Value)
}

func (r *Request) subscribe(m message) error {
	if m.List != nil {
		if m.AgentID != "" || m.AfterSeq != nil {
			return errors.New("a subscription is to agent_id or to a list, not to both")
		}
		r.List = m.List
		if r.Sub == "" {
			return errors.New("a list needs a sub")
		}
		return r.List.Normalise()
	}
	id, err := ParseID(m.AgentID)
	if err != nil {
		return err
	}
	r.AgentID = id
	if r.Sub == "" {
		r.Sub = id.String()
	}
	if m.AfterSeq != nil {
		if r.AfterSeq, err = CheckSeq(*m.AfterSeq); err != nil {
			return err
		}
	}
	return nil
}

// ParseID parses the agent_id of a client.
func ParseID(text string) (uuid.UUID, error) {
	id, err := client.ParseAgentID(text)
	if err != nil {
		err = fmt.Errorf("agent_id must be a UUID, got %.50q", text) // without the SQLSTATE
	}
	return id, err
}

// CheckSeq returns the after_seq of a client where it is within its bounds.
func CheckSeq(n int64) (int, error) {
	if n < 0 || n > 1<<31-1 {
		return 0, fmt.Errorf("after_seq must be between 0 and 2147483647, got %d", n)
	}
	return int(n), nil
}
