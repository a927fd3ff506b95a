package access

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
)

func TestTickets(t *testing.T) {
	t.Parallel()
	var all tickets
	now := time.Now()
	ada, bob := auth.Grant{Subject: "ada", Expires: now.Add(time.Hour)}, auth.Grant{Subject: "bob", Expires: now.Add(time.Hour)}
	one := all.make(ada, now)
	require.NotEmpty(t, one)
	g, ok := all.use(one, now)
	require.True(t, ok)
	require.Equal(t, ada, g)
	_, ok = all.use(one, now)
	require.False(t, ok, "once")
	_, ok = all.use("", now)
	require.False(t, ok)

	late := all.make(ada, now)
	_, ok = all.use(late, now.Add(TicketLife-time.Nanosecond))
	require.True(t, ok)
	late = all.make(ada, now)
	_, ok = all.use(late, now.Add(TicketLife))
	require.False(t, ok, "for 30 seconds")

	// One subject does not take all, and all together do not take more than there is.
	now = now.Add(time.Hour)
	fresh := func(g auth.Grant) auth.Grant { g.Expires = now.Add(time.Hour); return g }
	for range maxSubjectTickets {
		require.NotEmpty(t, all.make(fresh(ada), now))
	}
	require.Empty(t, all.make(fresh(ada), now))
	require.NotEmpty(t, all.make(fresh(bob), now))
	for n := range maxTickets {
		all.make(auth.Grant{Subject: fmt.Sprint(n), Expires: now.Add(time.Hour)}, now)
	}
	require.Len(t, all.made, maxTickets)
	require.LessOrEqual(t, len(all.grants), maxTickets)
	require.Empty(t, all.make(fresh(bob), now))
	now = now.Add(TicketLife)
	require.NotEmpty(t, all.make(fresh(bob), now))
	require.Len(t, all.made, 1)
	require.Len(t, all.grants, 1)
	require.Len(t, all.subjects, 1)

	// A ticket is worth no more than the token it was made with.
	short := all.make(auth.Grant{Expires: now.Add(-auth.Leeway + time.Second)}, now)
	_, ok = all.use(short, now.Add(2*time.Second))
	require.False(t, ok)
}

// FuzzTicket: no text but a ticket that was made is one.
func FuzzTicket(f *testing.F) {
	for _, seed := range []string{"", "7UZ4QJ3X5TLK2CV6WNOADBRMGY", "\x00", "bearer.x", strings.Repeat("A", 26)} {
		f.Add(seed)
	}
	var all tickets
	good := all.make(auth.Grant{Subject: "ada", Expires: time.Now().Add(24 * time.Hour)}, time.Now())
	require.NotEmpty(f, good)
	f.Fuzz(func(t *testing.T, text string) {
		_, ok := all.use(text, time.Now())
		require.Equal(t, text == good, ok)
	})
}
