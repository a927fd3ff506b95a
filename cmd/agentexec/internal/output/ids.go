package output

import (
	"github.com/google/uuid"
)

// shortID is how many characters of an id a list shows at least.
const shortID = 8

// shortIDs returns, for each id, its shortest prefix that no other one has, of at least 8 characters.
func shortIDs(ids []uuid.UUID) []string {
	const whole = 36
	taken := make(map[string]int, len(ids))
	for _, id := range ids {
		text := id.String()
		for n := shortID; n <= whole; n++ {
			taken[text[:n]]++
		}
	}
	short := make([]string, len(ids))
	for i, id := range ids {
		text := id.String()
		n := shortID
		for n < whole && (taken[text[:n]] > 1 || text[n-1] == '-') {
			n++
		}
		short[i] = text[:n]
	}
	return short
}
