package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/sidecar"
)

// benchSecret signs the tokens that are taken. It guards nothing.
const benchSecret = "the secret of a bench guards nothing"

const refuseRate = 100 // lines per second

// runGuarded is a sidecar that asks for tokens.
func runGuarded(ctx context.Context, url, addr string, ready func(string)) error {
	return runSidecar(ctx, sidecar.Config{DatabaseURL: url, Addr: addr, Auth: sidecar.Auth{Secret: benchSecret}}, ready)
}

// measureRefuse compares the delays of sockets with valid tokens, with and without attempts to connect with invalid ones.
// The two take turns on the same sockets.
func measureRefuse(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	ids, err := makeActivities(ctx, url, "agentexec", watchedActivities)
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, "guarded", url)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	last, err := lastSeqs(ctx, url, ids)
	if err != nil {
		return nil, err
	}
	s, err := flyTrusted(ctx, c.feed, ids, last, o.trusted)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var calm, beset turnsOfRefuse
	if _, _, err := refuseTurn(ctx, url, s, ids, o.each); err != nil { // warm
		return nil, err
	}
	for range o.rounds {
		if err := calm.add(refuseTurn(ctx, url, s, ids, o.each)); err != nil {
			return nil, err
		}
		attempting, enough := context.WithCancel(ctx)
		var clients sync.WaitGroup
		clients.Go(func() { attempt(attempting, c.feed, o.attempts, &beset) })
		err := beset.add(refuseTurn(ctx, url, s, ids, o.each))
		enough()
		clients.Wait()
		if err != nil {
			return nil, err
		}
	}
	return []table{refuseTable(o, s, &calm, &beset)}, nil
}

func refuseTable(o options, s *swarm, calm, beset *turnsOfRefuse) table {
	calm.sort()
	beset.sort()
	t := table{
		title: "Sockets with invalid tokens are refused, and the others notice nothing",
		note: fmt.Sprintf("%d sockets, each with a token of its own, on %d activities into which %d lines/s are written. Commit to frame: "+
			"from the return of append_log at its writer until the frame is read, of one socket in ten. Attempts: a connection each, with a "+
			"token that has expired, is signed with another key, says alg none, or is no token at all. The attackers' own processor time is "+
			"on the same cores.", o.trusted, watchedActivities, refuseRate),
		head: []string{"attempts", "refused with 401", "otherwise", "commit to frame p50", "p99", "of without", "frames", "closed", "reach"},
	}
	share := quantile(beset.took, 0.99).Seconds() / max(quantile(calm.took, 0.99), time.Microsecond).Seconds()
	t.rows = [][]string{
		{"none", "", "", fineMs(calm.took, 0.5), fineMs(calm.took, 0.99), "1.00", strconv.Itoa(len(calm.took)), "", ""},
		{
			fmt.Sprintf("%d/min", int(float64(beset.refused.Load()+beset.others.Load())/beset.length.Minutes())),
			strconv.FormatInt(beset.refused.Load(), 10), strconv.FormatInt(beset.others.Load(), 10),
			fineMs(beset.took, 0.5), fineMs(beset.took, 0.99), ratio(share), strconv.Itoa(len(beset.took)),
			strconv.FormatInt(s.closed.Load(), 10), verdict("p99 <= 2.00", share <= 2),
		},
	}
	return t
}

// turnsOfRefuse is what all turns of one kind have measured.
type turnsOfRefuse struct {
	took            []time.Duration
	length          time.Duration
	refused, others atomic.Int64
}

func (t *turnsOfRefuse) add(took []time.Duration, length time.Duration, err error) error {
	t.took, t.length = append(t.took, took...), t.length+length
	return err
}

func (t *turnsOfRefuse) sort() { slices.Sort(t.took) }

// flyTrusted opens the sockets that may connect, each with a token of its own.
func flyTrusted(ctx context.Context, feed string, ids []uuid.UUID, last map[uuid.UUID]int64, n int) (*swarm, error) {
	tokens := make([]string, n)
	for i := range tokens {
		token, err := auth.Mint(auth.MintConfig{Secret: benchSecret}, auth.Grant{
			Subject: fmt.Sprintf("user %d", i), Read: true, Expires: time.Now().Add(time.Hour),
		})
		if err != nil {
			return nil, err
		}
		tokens[i] = token
	}
	return fly(ctx, feed, n, flight{
		mark:   `"seq": `,
		header: func(i int) http.Header { return http.Header{"Authorization": {"Bearer " + tokens[i]}} },
		greet: func(i int) []string {
			id := ids[i%len(ids)]
			return []string{fmt.Sprintf(`{"type":"subscribe","agent_id":%q,"after_seq":%d}`, id, last[id])}
		},
		ready:  isSnapshot,
		sample: 10,
	})
}

// refuseTurn writes lines for a while and returns what they took from commit to frame.
func refuseTurn(ctx context.Context, url string, s *swarm, ids []uuid.UUID, each time.Duration) ([]time.Duration, time.Duration, error) {
	_ = s.arrivals()
	lines := max(len(ids), int(refuseRate*each.Seconds()))
	seen, began := s.lines.Load(), time.Now()
	commits, err := appendAtRate(ctx, url, ids, refuseRate, lines)
	if err != nil {
		return nil, 0, err
	}
	length := time.Since(began)
	want := seen
	for i := range lines {
		want += int64(watchers(len(s.sockets), len(ids), i%len(ids)))
	}
	if _, err := s.await(ctx, want); err != nil {
		return nil, 0, err
	}
	if got := s.lines.Load(); got != want {
		return nil, 0, fmt.Errorf("%d of %d lines arrived", got-seen, want-seen)
	}
	var took []time.Duration
	for _, a := range s.arrivals() {
		took = append(took, max(0, a.at.Sub(commits[a.sent])))
	}
	return took, length, nil
}

// watchers is how many of the sockets, dealt out in turns, watch the i-th of the activities.
func watchers(sockets, activities, i int) int { return (sockets + activities - 1 - i) / activities }

// attempt makes perMinute attempts a minute until ctx ends.
func attempt(ctx context.Context, feed string, perMinute int, t *turnsOfRefuse) {
	u, err := url.Parse(feed)
	if err != nil {
		return
	}
	invalid := invalidTokens()
	var clients sync.WaitGroup
	defer clients.Wait()
	places := make(chan struct{}, 256)
	gap := time.Minute / time.Duration(perMinute)
	next := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		time.Sleep(time.Until(next))
		next = next.Add(gap)
		places <- struct{}{}
		clients.Go(func() {
			defer func() { <-places }()
			if attemptOnce(u.Host, u.Path, invalid[n%len(invalid)]) == nil {
				t.refused.Add(1)
			} else {
				t.others.Add(1)
			}
		})
	}
}

// attemptOnce tries to open a socket, and returns nil when the answer is 401.
func attemptOnce(host, path, token string) error {
	conn, err := net.DialTimeout("tcp", host, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n", path, host, token)
	if err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		return errors.New(response.Status)
	}
	return nil
}

// invalidTokens are of every kind, and each a thousand times different, so that none is known from before.
func invalidTokens() []string {
	var tokens []string
	for i := range 1000 {
		subject := fmt.Sprintf("mallory %d", i)
		expired, _ := auth.Mint(auth.MintConfig{Secret: benchSecret}, auth.Grant{Subject: subject, Read: true, Expires: time.Now().Add(-time.Hour)})
		foreign, _ := auth.Mint(auth.MintConfig{Secret: strings.Repeat("another ", 5)},
			auth.Grant{Subject: subject, Read: true, Expires: time.Now().Add(time.Hour)})
		_, payload, _ := strings.Cut(foreign, ".")
		payload, _, _ = strings.Cut(payload, ".")
		none := "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + payload + "."
		tokens = append(tokens, expired, foreign, none, "no-token-"+strconv.Itoa(i))
	}
	return tokens
}
