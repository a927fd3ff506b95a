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
	// Subject is the subject of the token, "" where it has none.
	Subject string
	// Expires is the token's exp. A token is accepted for the leeway longer, see Until.
	Expires time.Time

	Read, Write, Cancel bool
	// Answer allows to answer and to decline questions.
	Answer bool
	// IncludeMetadata allows to read metadata.
	IncludeMetadata bool
	Scope           client.Scope
}

// Everything returns the grant of every caller where authentication is off.
func Everything() Grant {
	return Grant{Read: true, Write: true, Cancel: true, Answer: true, IncludeMetadata: true}
}

// IsEverything reports whether nothing is denied.
func (g Grant) IsEverything() bool {
	return g.Read && g.Write && g.Cancel && g.Answer && g.IncludeMetadata && g.Scope.IsZero()
}

// Claim is the name of the claim that holds the grant.
const Claim = "agentexec"

// maxText is the maximum length of the subject and of the texts of a scope.
const maxText = 255

// claims are the claims of a token that this package reads. encoding/json also takes "EXP" for exp, and the last of both.
// Where users choose names of claims at their issuer, they could then set exp as well. So names are compared here.
type claims struct {
	jwt.RegisteredClaims
	grant Grant
}

// UnmarshalJSON implements json.Unmarshaler. It decodes once, even nested values.
func (c *claims) UnmarshalJSON(data []byte) error {
	members, err := jsonb.Decode(data)
	if err != nil {
		return err
	}
	if members == nil {
		return errors.New("no object")
	}
	for name, field := range map[string]any{
		"iss": &c.Issuer, "sub": &c.Subject, "aud": &c.Audience, "exp": &c.ExpiresAt, "nbf": &c.NotBefore, "iat": &c.IssuedAt,
	} {
		if value := members[name]; value != nil && !readRegistered(value, field) {
			return &wrongClaim{name + " is malformed"}
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

// readRegistered reads one of the claims that the standard defines.
func readRegistered(value, field any) (ok bool) {
	switch field := field.(type) {
	case *string:
		*field, ok = value.(string)
	case *jwt.ClaimStrings:
		if text, single := value.(string); single {
			*field = jwt.ClaimStrings{text}
			return true
		}
		*field, ok = texts(value)
	case **jwt.NumericDate:
		*field, ok = readDate(value)
	}
	return ok
}

// maxDate is the end of the year 9999, in Unix time. A later date may become one in the past as a time.Time, and an nbf of
// that date would then be accepted.
const maxDate = 253_402_300_799

// readDate reads a time, from 1970 to 9999.
func readDate(value any) (*jwt.NumericDate, bool) {
	number, ok := value.(json.Number)
	seconds, err := number.Float64()
	if !ok || err != nil || seconds < 0 || seconds > maxDate {
		return nil, false
	}
	date := &jwt.NumericDate{}
	return date, date.UnmarshalJSON([]byte(number)) == nil
}

// texts is a list of them; no list, and null, is none.
func texts(value any) ([]string, bool) {
	list, ok := value.([]any)
	all := make([]string, len(list))
	for i, element := range list {
		text, isText := element.(string)
		all[i], ok = text, ok && isText
	}
	return all, ok
}

// wrongClaim is the error of a claim.
type wrongClaim struct{ reason string }

func (w *wrongClaim) Error() string { return w.reason }

// readGrant reads the claim. An unknown key is refused, because it may be meant to narrow the grant; so is a key that is null.
func readGrant(value any) (Grant, error) {
	members, ok := value.(map[string]any)
	if !ok {
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
		case "answer":
			err = readVerb(value, &g.Answer)
		case "include_metadata":
			err = readVerb(value, &g.IncludeMetadata)
		case "agent_ids":
			g.Scope.AgentIDs, err = readIDs(value)
		case "agent_types":
			g.Scope.AgentTypes, err = readTypes(value)
		case "metadata":
			err = readMetadata(value, &g.Scope)
		default:
			return Grant{}, fmt.Errorf("%.40q is not known", name)
		}
		if err != nil {
			return Grant{}, fmt.Errorf("%s %w", name, err)
		}
	}
	return g, nil
}

func readVerb(value any, granted *bool) error {
	is, ok := value.(bool)
	if !ok && value != nil { // null grants nothing
		return errors.New("must be true or false")
	}
	*granted = is
	return nil
}

func readTypes(value any) ([]string, error) {
	types, ok := texts(value)
	if !ok {
		return nil, errors.New("must be a list of texts")
	}
	for _, text := range types {
		if jsonb.Text(text) != nil || utf8.RuneCountInString(text) > maxText {
			return nil, fmt.Errorf("must be a list of texts of at most %d characters", maxText)
		}
	}
	return types, nil
}

func readIDs(value any) ([]uuid.UUID, error) {
	all, ok := texts(value)
	ids := make([]uuid.UUID, len(all))
	for i, text := range all {
		id, err := client.ParseAgentID(text)
		ids[i], ok = id, ok && err == nil
	}
	if !ok {
		return nil, errors.New("must be a list of UUIDs")
	}
	return ids, nil
}

// readMetadata reads an object, or a list of objects of which at least one must match.
func readMetadata(value any, scope *client.Scope) error {
	list, isList := value.([]any)
	if !isList {
		object, err := readObject(value)
		scope.Metadata = object
		return err
	}
	if len(list) < 1 || len(list) > maxAlternatives {
		return errNoMetadata
	}
	for _, element := range list {
		object, err := readObject(element)
		if err != nil {
			return err
		}
		scope.MetadataAny = append(scope.MetadataAny, object)
	}
	return nil
}

// maxAlternatives is how many objects SQL accepts.
const maxAlternatives = 16

var errNoMetadata = fmt.Errorf("must be an object, or a list of 1 to %d objects", maxAlternatives)

func readObject(value any) (map[string]any, error) {
	object, ok := value.(map[string]any)
	switch {
	case !ok:
		return nil, errNoMetadata
	case jsonb.Check(object) != nil: // its error says what it found; errors here say nothing of the token
		return nil, errors.New("holds what Postgres cannot store")
	}
	return object, nil
}
