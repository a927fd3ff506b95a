package auth

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Limits for a JWKS URL, and for the work that a client can cause through it.
const (
	maxJWKS     = 1 << 20 // bytes of an answer
	maxJWKSKeys = 100     // keys of an answer that are read
	maxTried    = 8       // keys tried for one token: those of its kid, or without a kid all of them
	maxKeyBits  = 8192    // of an RSA key; checking a signature with a larger one takes long

	jwksTimeout  = 5 * time.Second  // for one fetch, and for waiting for one
	jwksRefresh  = 15 * time.Minute // between two successful fetches
	jwksCooldown = 20 * time.Second // between two fetches that tokens with an unknown kid cause
	jwksKeep     = 24 * time.Hour   // how long keys stay valid without a new confirmation
)

// jwks are the keys of a JWKS URL. They are kept while the URL does not answer; a key that it no longer names is removed with
// the next fetch.
//
// The fetch and the lookup are our own. keyfunc's reads answers of any size, makes every token with an unknown kid wait for a
// fetch of its own, and keeps one key of each kid.
type jwks struct {
	url       string
	algorithm string
	client    *http.Client
	log       *slog.Logger
	cooldown  time.Duration
	ctx       context.Context // of all fetches; ends with run
	stop      context.CancelFunc

	keys atomic.Pointer[keySet] // nil before the first successful fetch

	mu      sync.Mutex
	flight  chan struct{} // of the current fetch, closed when it ends; nil where there is none
	started time.Time     // of the last fetch
	failed  bool          // the last fetch failed
}

// keySet is the result of a fetch.
type keySet struct {
	all     []jwt.VerificationKey
	byID    map[string][]jwt.VerificationKey // a kid may name several, where an issuer changes the key but not the name
	fetched time.Time
}

func newJWKS(c Config) (*jwks, error) {
	u, err := url.Parse(c.JWKSURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("AGENTEXEC_JWKS_URL must be a URL that begins with https:// or http://")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && !ip.IsLoopback() {
		c.Logger.Warn("AGENTEXEC_JWKS_URL is not https: anything on the network path can replace the keys", "host", u.Host)
	}
	ctx, stop := context.WithCancel(context.Background())
	return &jwks{
		ctx: ctx, stop: stop, url: c.JWKSURL, algorithm: c.Algorithm, log: c.Logger, cooldown: jwksCooldown,
		client: &http.Client{
			Timeout: jwksTimeout,
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				if len(via) >= 5 || (u.Scheme == "https" && r.URL.Scheme != "https") {
					return errors.New("redirected too often, or away from https")
				}
				return nil
			},
		},
	}, nil
}

// run fetches the keys repeatedly: soon after a failed fetch, with a growing delay.
func (j *jwks) run(ctx context.Context) {
	defer j.client.CloseIdleConnections()
	defer context.AfterFunc(ctx, j.stop)()
	delay := time.Second
	for over := j.first(); ; over = j.fetch() {
		<-over
		next := jwksRefresh
		if j.hasFailed() {
			next, delay = delay, min(2*delay, time.Minute)
		} else {
			delay = time.Second
		}
		select {
		case <-ctx.Done():
			j.stop()
			<-j.fetch() // waits for a fetch that a token has begun
			return
		case <-time.After(next):
		}
	}
}

func (j *jwks) hasFailed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// first returns the fetch that run starts with: one that is over where an earlier token has already caused a fetch.
func (j *jwks) first() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.keys.Load() != nil {
		over := make(chan struct{})
		close(over)
		return over
	}
	return j.begin()
}

// fetch begins a fetch, unless one is running, and returns a channel that is closed at its end.
func (j *jwks) fetch() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.begin()
}

// begin is fetch with mu held.
func (j *jwks) begin() <-chan struct{} {
	if j.flight != nil {
		return j.flight
	}
	flight := make(chan struct{})
	j.flight, j.started = flight, time.Now()
	go func() {
		defer close(flight)
		set, err := j.read()
		j.mu.Lock()
		defer j.mu.Unlock()
		switch {
		case err == nil:
			j.keys.Store(set)
			if j.failed {
				j.log.Info("the JWKS URL answers again", "keys", len(set.all))
			}
		case !j.failed && j.ctx.Err() == nil:
			j.log.Warn("the JWKS URL does not answer with keys; trying on", "error", err, "keys_kept", j.keys.Load() != nil)
		}
		j.flight, j.failed = nil, err != nil
	}()
	return flight
}

// read reads the URL once.
func (j *jwks) read() (*keySet, error) {
	request, err := http.NewRequestWithContext(j.ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return nil, err
	}
	response, err := j.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %d", response.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxJWKS+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxJWKS:
		return nil, fmt.Errorf("it answers more than %d bytes", maxJWKS)
	}
	var document struct {
		Keys []jwkset.JWKMarshal `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, errors.New("it answers no JSON Web Key Set")
	}
	if len(document.Keys) > maxJWKSKeys {
		return nil, fmt.Errorf("it answers more than %d keys", maxJWKSKeys)
	}
	set := &keySet{byID: make(map[string][]jwt.VerificationKey), fetched: time.Now()}
	for _, each := range document.Keys {
		if key, fits := j.publicKey(each); fits {
			set.all = append(set.all, key)
			set.byID[each.KID] = append(set.byID[each.KID], key)
		}
	}
	if len(set.all) == 0 {
		return nil, fmt.Errorf("none of its %d keys is for %s: want %s, of at least %d bits where it is RSA, to verify with",
			len(document.Keys), j.algorithm, algorithms[j.algorithm], minRSABits)
	}
	return set, nil
}

// publicKey returns a key of the set, and whether it may have signed a token: a set also holds keys for encryption and for
// other algorithms. A key published with its private half is refused, since every reader of the URL knows it.
func (j *jwks) publicKey(each jwkset.JWKMarshal) (crypto.PublicKey, bool) {
	switch {
	case each.USE != "" && each.USE != jwkset.UseSig,
		each.ALG != "" && each.ALG.String() != j.algorithm,
		each.KEYOPS != nil && !slices.Contains(each.KEYOPS, jwkset.KeyOpsVerify),
		each.D != "":
		return nil, false
	}
	key, err := jwkset.NewJWKFromMarshal(each, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil || kindOf(key.Key()) != algorithms[j.algorithm] {
		return nil, false
	}
	if key, ok := key.Key().(*rsa.PublicKey); ok && (checkRSA(key) != nil || key.N.BitLen() > maxKeyBits) {
		return nil, false
	}
	return key.Key(), true
}

// key returns the key, or keys, that must have signed a token. An unknown kid causes another fetch, at most one every
// jwksCooldown, however many such tokens arrive.
func (j *jwks) key(ctx context.Context, t *jwt.Token) (any, error) {
	set := j.keys.Load()
	key, err := set.find(t)
	if err == nil {
		return key, nil
	}
	if set.usable() && errors.Is(err, errSeveralKeys) {
		return nil, &Refused{KindKey, err.Error()}
	}
	if err := j.again(ctx, set); err != nil {
		return nil, err
	}
	set = j.keys.Load()
	key, err = set.find(t)
	switch {
	case err == nil:
		return key, nil
	case set.usable() && errors.Is(err, errSeveralKeys):
		return nil, &Refused{KindKey, err.Error()}
	case !set.usable() || j.hasFailed():
		return nil, ErrUnavailable
	}
	return nil, &Refused{KindKey, "the token is signed with a key that is not known"}
}

// again waits for a fetch, where one is running or due.
func (j *jwks) again(ctx context.Context, seen *keySet) error {
	j.mu.Lock()
	flight, due := j.flight, time.Since(j.started) >= j.cooldown
	j.mu.Unlock()
	var over <-chan struct{} = flight
	if flight == nil {
		if !due || j.keys.Load() != seen {
			return nil
		}
		over = j.fetch()
	}
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ErrUnavailable
	}
}

func (s *keySet) usable() bool { return s != nil && time.Since(s.fetched) < jwksKeep }

var (
	errNoKey       = errors.New("no such key")
	errSeveralKeys = fmt.Errorf("the token names no key, or one that is the name of more than %d, and there are several", maxTried)
)

// find returns the keys of which one must have signed a token: those of its kid, or all where it has none.
func (s *keySet) find(t *jwt.Token) (any, error) {
	if !s.usable() {
		return nil, errNoKey
	}
	keys := s.all
	if id, named := t.Header["kid"]; named {
		text, isText := id.(string)
		if keys = s.byID[text]; !isText || len(keys) == 0 {
			return nil, errNoKey
		}
	}
	if len(keys) > maxTried {
		return nil, errSeveralKeys
	}
	return jwt.VerificationKeySet{Keys: keys}, nil
}
