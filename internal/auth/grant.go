package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/jsonb"
	"github.com/agentexec/agentexec/pkg/client"
)

// Grant is what a token allows: a verb is granted where it is true, on the activities of the scope.
type Grant struct {
	// Subject is who it was issued to, "" where the token does not say.
	Subject string
	// Expires is the token's exp. A token is taken for the leeway longer, see Until.
	Expires time.Time

	Read, Write, Cancel bool
	// IncludeMetadata allows to read metadata.
	IncludeMetadata bool
	Scope           client.Scope
}

// Everything is what everybody may where authentication is off.
func Everything() Grant { return Grant{Read: true, Write: true, Cancel: true, IncludeMetadata: true} }

// IsEverything reports whether nothing is denied.
func (g Grant) IsEverything() bool {
	return g.Read && g.Write && g.Cancel && g.IncludeMetadata && g.Scope.IsZero()
}

// Claim is the name of the claim that grants.
const Claim = "agentexec"

// maxText bounds the subject, and the texts of a scope.
const maxText = 255

// claims are those of a token that we look at. encoding/json takes "EXP" for exp as well, and the last one of both: where
// users choose names of claims at their issuer, that would have them choose ours. So names are compared here.
type claims struct {
	jwt.RegisteredClaims
	grant Grant
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *claims) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	if members == nil {
		return errors.New("no object")
	}
	for name, field := range map[string]any{
		"iss": &c.Issuer, "sub": &c.Subject, "aud": &c.Audience, "exp": &c.ExpiresAt, "nbf": &c.NotBefore, "iat": &c.IssuedAt,
	} {
		if value, ok := members[name]; ok {
			if err := json.Unmarshal(value, field); err != nil {
				return &wrongClaim{name + " is malformed"}
			}
		}
	}
	if len(c.Subject) > maxText || jsonb.Text(c.Subject) != nil {
		return &wrongClaim{fmt.Sprintf("sub must be at most %d bytes", maxText)}
	}
	if value, ok := members[Claim]; ok {
		grant, err := readGrant(value)
		if err != nil {
			return &wrongClaim{Claim + "." + err.Error()}
		}
		c.grant = grant
	}
	return nil
}

// wrongClaim is what is wrong with a claim.
type wrongClaim struct{ reason string }

func (w *wrongClaim) Error() string { return w.reason }

// readGrant reads the claim. A key that is not known is refused: it may be meant to narrow, as may one that is null.
func readGrant(data json.RawMessage) (Grant, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return Grant{}, errors.New("must be an object")
	}
	var g Grant
	for _, name := range slices.Sorted(maps.Keys(members)) {
		var err error
		value := members[name]
		switch name {
		case "read":
			err = readVerb(value, &g.Read)
		case "write":
			err = readVerb(value, &g.Write)
		case "cancel":
			err = readVerb(value, &g.Cancel)
		case "include_metadata":
			err = readVerb(value, &g.IncludeMetadata)
		case "agent_ids":
			g.Scope.AgentIDs, err = readIDs(value)
		case "agent_types":
			g.Scope.AgentTypes, err = readTexts(value)
		case "metadata":
			g.Scope.Metadata, err = readMetadata(value)
		default:
			return Grant{}, fmt.Errorf("%.40q is not known", name)
		}
		if err != nil {
			return Grant{}, fmt.Errorf("%s %w", name, err)
		}
	}
	return g, nil
}

func readVerb(data json.RawMessage, granted *bool) error {
	if json.Unmarshal(data, granted) != nil { // null grants nothing
		return errors.New("must be true or false")
	}
	return nil
}

func readTexts(data json.RawMessage) ([]string, error) {
	var texts []string
	if json.Unmarshal(data, &texts) != nil || texts == nil {
		return nil, errors.New("must be a list of texts")
	}
	for _, text := range texts {
		if jsonb.Text(text) != nil || utf8.RuneCountInString(text) > maxText {
			return nil, fmt.Errorf("must be a list of texts of at most %d characters", maxText)
		}
	}
	return texts, nil
}

func readIDs(data json.RawMessage) ([]uuid.UUID, error) {
	const want = "must be a list of UUIDs"
	var texts []string
	if json.Unmarshal(data, &texts) != nil || texts == nil {
		return nil, errors.New(want)
	}
	ids := make([]uuid.UUID, len(texts))
	for i, text := range texts {
		id, err := uuid.Parse(text)
		if err != nil || len(text) != 36 { // not in the other forms that Parse takes
			return nil, errors.New(want)
		}
		ids[i] = id
	}
	return ids, nil
}

func readMetadata(data json.RawMessage) (map[string]any, error) {
	object, err := jsonb.Object(data)
	switch {
	case errors.Is(err, jsonb.ErrNoObject) || (err == nil && object == nil):
		return nil, errors.New("must be an object")
	case err != nil: // which says what it found, and we say nothing of the token
		return nil, errors.New("holds what Postgres cannot store")
	}
	return object, nil
}
