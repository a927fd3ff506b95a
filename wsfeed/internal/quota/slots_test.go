package quota

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSlots takes and leaves places at random, beside a model.
func TestSlots(t *testing.T) {
	t.Parallel()
	s := NewSlots(Limit{"all", 40}, Limit{"subject", 7}, Limit{"address", 5})
	type taken struct {
		Slot
		subject, address string
	}
	var all []taken
	count := func(match func(taken) bool) (n int) {
		for _, one := range all {
			if match(one) {
				n++
			}
		}
		return n
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	some := func(n int) string {
		if i := rnd.IntN(n); i > 0 {
			return fmt.Sprint(i)
		}
		return "" // is not counted
	}
	seen := make(map[string]bool)
	for range 20_000 {
		if len(all) > 0 && rnd.IntN(5) < 2 {
			i := rnd.IntN(len(all))
			s.Leave(all[i].Slot)
			all = append(all[:i], all[i+1:]...)
			continue
		}
		one := taken{subject: some(5), address: some(9)}
		want := ""
		switch {
		case len(all) >= 40:
			want = "all"
		case one.subject != "" && count(func(o taken) bool { return o.subject == one.subject }) >= 7:
			want = "subject"
		case one.address != "" && count(func(o taken) bool { return o.address == one.address }) >= 5:
			want = "address"
		}
		var limit string
		one.Slot, limit, _ = s.Take(one.subject, one.address)
		require.Equal(t, want, limit)
		seen[limit] = true
		if limit == "" {
			all = append(all, one)
		}
	}
	require.Len(t, seen, 4, "the limits were not all met")
	for _, one := range all {
		s.Leave(one.Slot)
	}
	require.Zero(t, s.taken)
	require.Empty(t, s.bySubject)
	require.Empty(t, s.byAddress)
}
