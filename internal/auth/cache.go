package auth

import (
	"crypto/sha256"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxVerified is how many tokens are remembered, about half a kilobyte each.
const maxVerified = 4096

// verified remembers tokens with a valid signature, because checking an ECDSA signature takes longer than the rest of a
// request. The expiry, and all else that depends on time, is checked every time. Invalid tokens are not remembered, so a
// client without a key cannot fill it.
type verified struct {
	cache *lru.Cache[[sha256.Size]byte, entry]
}

type entry struct {
	grant Grant
	keys  *keySet // the keys used for the check; nil where the key never changes
}

func newVerified() verified {
	cache, _ := lru.New[[sha256.Size]byte, entry](maxVerified) // the size is positive
	return verified{cache}
}

// get returns the grant of a token that was checked with these keys.
func (v verified) get(token string, keys *keySet) (Grant, bool) {
	e, ok := v.cache.Get(sha256.Sum256([]byte(token)))
	return e.grant, ok && e.keys == keys
}

func (v verified) put(token string, g Grant, keys *keySet) {
	v.cache.Add(sha256.Sum256([]byte(token)), entry{g, keys})
}
