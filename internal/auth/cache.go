package auth

import (
	"crypto/sha256"
	"sync"
)

// maxVerified is how many tokens are remembered, about half a kilobyte each: at most twice as many.
const maxVerified = 2048

// verified remembers tokens whose signature was found to hold: an ECDSA signature takes longer to check than all else of
// a request. What time changes, such as the expiry, is looked at every time. Tokens that do not hold are not remembered,
// so nobody without a key fills it.
type verified struct {
	mu       sync.Mutex
	new, old map[[sha256.Size]byte]entry
}

type entry struct {
	grant Grant
	keys  *keySet // that it was checked with; nil where the key never changes
}

// get returns what a token grants, where it was checked with these keys.
func (v *verified) get(token string, keys *keySet) (Grant, bool) {
	sum := sha256.Sum256([]byte(token))
	v.mu.Lock()
	defer v.mu.Unlock()
	e, ok := v.new[sum]
	if !ok {
		if e, ok = v.old[sum]; ok {
			v.add(sum, e)
		}
	}
	return e.grant, ok && e.keys == keys
}

func (v *verified) put(token string, g Grant, keys *keySet) {
	sum := sha256.Sum256([]byte(token))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.add(sum, entry{g, keys})
}

// add drops those that were not used for longest, half of all at once. Called with mu held.
func (v *verified) add(sum [sha256.Size]byte, e entry) {
	if v.new == nil || len(v.new) >= maxVerified {
		v.old, v.new = v.new, make(map[[sha256.Size]byte]entry)
	}
	v.new[sum] = e
}
