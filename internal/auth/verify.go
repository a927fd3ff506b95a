package auth

import (
	"context"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// MaxToken is the length of the longest token that is read, in bytes. Issuers stay far below.
	MaxToken = 8 << 10
	// Leeway is the accepted difference between the issuer's clock and this one.
	Leeway = 30 * time.Second
)

// ErrUnavailable is returned while the keys are not available: the token may be valid, and the caller may retry.
var ErrUnavailable = errors.New("the keys that tokens are checked with cannot be had now")

// Refused is the error of an invalid token. It gives the reason, for programs and for people, and no part of the token.
type Refused struct {
	Kind   Kind
	Reason string
}

// Kind is the reason of a refusal in one word.
type Kind string

// The kinds. A token with several errors has the first kind that applies.
const (
	KindMalformed Kind = "malformed"     // no token at all, too long, or its header requires an unknown extension
	KindAlgorithm Kind = "algorithm"     // not the configured one
	KindKey       Kind = "key"           // it names no key of the key set, or none where there are several
	KindSignature Kind = "signature"     // it is invalid
	KindExpired   Kind = "expired"       // too long ago
	KindNotYet    Kind = "not_yet_valid" // nbf or iat is in the future
	KindIssuer    Kind = "issuer"        // not the configured one
	KindAudience  Kind = "audience"      // not the configured one
	KindClaims    Kind = "claims"        // one is missing, malformed, or grants an unknown right
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{KindMalformed, KindAlgorithm, KindKey, KindSignature, KindExpired, KindNotYet, KindIssuer, KindAudience, KindClaims}
}

// Error implements error.
func (r *Refused) Error() string { return r.Reason }

// Verifier checks tokens. It is safe for use by many goroutines.
type Verifier struct {
	parser    *jwt.Parser
	algorithm string
	key       func(context.Context, *jwt.Token) (any, error)
	jwks      *jwks // nil where the key is configured
	known     verified
	now       func() time.Time
}

// New returns a Verifier for the configuration, or an error of one line.
func New(cfg Config) (*Verifier, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	v := &Verifier{now: time.Now, known: newVerified(), algorithm: cfg.Algorithm}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{cfg.Algorithm}), jwt.WithExpirationRequired(), jwt.WithLeeway(Leeway),
		jwt.WithIssuedAt(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return v.now() }),
	}
	if cfg.Issuer != "" {
		options = append(options, jwt.WithIssuer(cfg.Issuer))
	}
	if cfg.Audience != "" {
		options = append(options, jwt.WithAudience(cfg.Audience))
	}
	v.parser = jwt.NewParser(options...)

	var key any
	switch {
	case cfg.Secret != "":
		key, err = secretKey(cfg)
	case cfg.KeyFile != "":
		key, err = publicKeyFile(cfg)
	default:
		if v.jwks, err = newJWKS(cfg); err == nil {
			v.key = v.jwks.key
		}
	}
	if err != nil {
		return nil, err
	}
	if v.jwks == nil {
		v.key = func(context.Context, *jwt.Token) (any, error) { return key, nil }
	}
	return v, nil
}

// Run refreshes the keys of a JWKS URL until ctx ends; with a configured key it does nothing. It returns nil.
func (v *Verifier) Run(ctx context.Context) error {
	if v.jwks != nil {
		v.jwks.run(ctx)
	}
	return nil
}

// Known returns the grant of a token that was verified before and is still valid. It is very cheap, so a caller can use it
// before it decides whether to verify a token.
func (v *Verifier) Known(token string) (Grant, bool) {
	if token == "" || len(token) > MaxToken {
		return Grant{}, false
	}
	keys, remembers := v.keys()
	if !remembers {
		return Grant{}, false
	}
	g, ok := v.known.get(token, keys)
	if !ok || !v.now().Before(g.Expires.Add(Leeway)) {
		return Grant{}, false
	}
	return g, true
}

// Verify returns the grant of a token; the grant is shared and must not be changed. Errors are ErrUnavailable, that of ctx,
// and *Refused for an invalid token.
func (v *Verifier) Verify(ctx context.Context, token string) (Grant, error) {
	if len(token) > MaxToken {
		return Grant{}, &Refused{KindMalformed, "the token is too long"}
	}
	if g, ok := v.Known(token); ok {
		return g, nil
	}
	keys, remembers := v.keys()
	c := &claims{}
	t, err := v.parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok { // no extension is supported
			return nil, &Refused{KindMalformed, "the token's header asks for what is not known"}
		}
		return v.key(ctx, t)
	})
	switch {
	case err == nil:
	case t != nil && t.Method != nil && t.Method.Alg() != v.algorithm:
		return Grant{}, &Refused{KindAlgorithm, "the token's algorithm is not accepted"}
	default:
		return Grant{}, refusal(ctx, err)
	}
	g := c.grant
	g.Subject, g.Expires = c.Subject, c.ExpiresAt.Time
	if remembers {
		v.known.put(token, g, keys)
	}
	return g, nil
}

// keys returns the keys that tokens are checked with now, nil for the configured key, and false where there are none.
func (v *Verifier) keys() (*keySet, bool) {
	if v.jwks == nil {
		return nil, true
	}
	keys := v.jwks.keys.Load()
	return keys, keys.usable()
}

// Until returns when a connection that a grant has opened ends. That is when the token expires by this clock. A token that has
// expired, but was accepted within the leeway, ends with the leeway: a client that reconnects with the same token is not
// rejected at once again.
func (g Grant) Until(now time.Time) time.Time {
	if g.Expires.IsZero() || now.Before(g.Expires) {
		return g.Expires
	}
	return g.Expires.Add(Leeway)
}

// refusal returns why a token was refused, in our own words; the library's may hold parts of the token.
func refusal(ctx context.Context, err error) error {
	var (
		refused *Refused
		claim   *wrongClaim
	)
	switch {
	case errors.Is(err, ErrUnavailable):
		return ErrUnavailable
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return ctx.Err()
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &claim):
		return &Refused{KindClaims, "the token's claim " + claim.reason}
	}
	for _, known := range []struct {
		err    error
		kind   Kind
		reason string
	}{
		{jwt.ErrTokenMalformed, KindMalformed, "the token is malformed"},
		{jwt.ErrTokenUnverifiable, KindAlgorithm, "the token's algorithm is not accepted"},
		{jwt.ErrTokenSignatureInvalid, KindSignature, "the token's signature does not hold"},
		{jwt.ErrTokenExpired, KindExpired, "the token has expired"},
		{jwt.ErrTokenNotValidYet, KindNotYet, "the token is not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, KindNotYet, "the token is not valid yet: it is issued later, by this server's clock"},
		{jwt.ErrTokenInvalidIssuer, KindIssuer, "the token is from another issuer"},
		{jwt.ErrTokenInvalidAudience, KindAudience, "the token is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, KindClaims, "the token lacks exp, or the issuer or audience that is asked for"},
	} {
		if errors.Is(err, known.err) {
			return &Refused{known.kind, known.reason}
		}
	}
	return &Refused{KindClaims, "the token does not hold"}
}
