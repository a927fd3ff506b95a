package auth

import (
	"context"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// MaxToken is the longest token that is looked at, in bytes. Issuers stay far below.
	MaxToken = 8 << 10
	// Leeway is how far the issuer's clock and ours may be apart.
	Leeway = 30 * time.Second
)

// ErrUnavailable is returned while the keys cannot be had: the token may be good, and the caller may come back.
var ErrUnavailable = errors.New("the keys that tokens are checked with cannot be had now")

// Refused is the error of a token that does not hold. It says why, and nothing of the token.
type Refused struct{ Reason string }

// Error implements error.
func (r *Refused) Error() string { return r.Reason }

// Verifier checks tokens. It is safe for use by many goroutines.
type Verifier struct {
	parser *jwt.Parser
	key    func(context.Context, *jwt.Token) (any, error)
	jwks   *jwks // nil where the key is at hand
	known  verified
	now    func() time.Time
}

// New returns a Verifier for the configuration, or one line that says what is wrong with it.
func New(cfg Config) (*Verifier, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	v := &Verifier{now: time.Now, known: newVerified()}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{cfg.Algorithm}), jwt.WithExpirationRequired(), jwt.WithLeeway(Leeway),
		jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return v.now() }),
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

// Run keeps the keys of a JWKS URL fresh until ctx ends; with a key at hand there is nothing to do. It returns nil.
func (v *Verifier) Run(ctx context.Context) error {
	if v.jwks != nil {
		v.jwks.run(ctx)
	}
	return nil
}

// Verify returns what a token grants; it is shared, and not to be changed. Errors are ErrUnavailable, that of ctx, and
// *Refused for a token that does not hold.
func (v *Verifier) Verify(ctx context.Context, token string) (Grant, error) {
	if len(token) > MaxToken {
		return Grant{}, &Refused{"the token is too long"}
	}
	keys, remembers := v.keys()
	if remembers {
		if g, ok := v.known.get(token, keys); ok && v.now().Before(g.Expires.Add(Leeway)) {
			return g, nil
		}
	}
	c := &claims{}
	_, err := v.parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok { // we know no extension that must be understood
			return nil, &Refused{"the token's header asks for what is not known"}
		}
		return v.key(ctx, t)
	})
	if err != nil {
		return Grant{}, refusal(ctx, err)
	}
	g := c.grant
	g.Subject, g.Expires = c.Subject, c.ExpiresAt.Time
	if remembers {
		v.known.put(token, g, keys)
	}
	return g, nil
}

// keys are what tokens are checked with now, nil where that is the key at hand, and false where there are none.
func (v *Verifier) keys() (*keySet, bool) {
	if v.jwks == nil {
		return nil, true
	}
	keys := v.jwks.keys.Load()
	return keys, keys.usable()
}

// Until is when a connection that a grant has opened ends: when the token expires by our clock; where it has, and was
// taken because clocks differ, when the leeway is over. So whoever comes back at once with the same token is not sent
// away at once again.
func (g Grant) Until(now time.Time) time.Time {
	if g.Expires.IsZero() || now.Before(g.Expires) {
		return g.Expires
	}
	return g.Expires.Add(Leeway)
}

// refusal says in our words why a token was refused; the library's may hold parts of it.
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
		return &Refused{"the token's claim " + claim.reason}
	}
	for _, known := range []struct {
		err    error
		reason string
	}{
		{jwt.ErrTokenMalformed, "the token is malformed"},
		{jwt.ErrTokenUnverifiable, "the token's algorithm is not accepted"},
		{jwt.ErrTokenSignatureInvalid, "the token's signature does not hold, or its algorithm is not accepted"},
		{jwt.ErrTokenExpired, "the token has expired"},
		{jwt.ErrTokenNotValidYet, "the token is not valid yet"},
		{jwt.ErrTokenInvalidIssuer, "the token is from another issuer"},
		{jwt.ErrTokenInvalidAudience, "the token is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "the token lacks exp, or the issuer or audience that is asked for"},
	} {
		if errors.Is(err, known.err) {
			return &Refused{known.reason}
		}
	}
	return &Refused{"the token does not hold"}
}
