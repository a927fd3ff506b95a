package sidecar

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/edge"
	"github.com/agentexec/agentexec/sidecar/internal/httpapi"
	"github.com/agentexec/agentexec/wsfeed"
)

// Limits bound the resources that clients may use. Zero values take the defaults named; where stated, a negative value turns
// the limit off. docs/limits.md says what happens above each limit.
type Limits struct {
	// Connections is how many connections may be open at once. The default, and the maximum, is the number of files this
	// process may open, less 256. Where there are few files, it is less a quarter, at least 28 and one for each connection of
	// the pool. Negative for no limit.
	Connections int
	// Sockets is how many WebSockets and event streams may be open at once. Default 20,000, and at most nine tenths of
	// Connections; negative for no limit.
	Sockets int
	// SocketsPerSubject and SocketsPerAddress bound the sockets of one token's subject and of one address. Loopback is not
	// counted: programs on this machine have other ways to harm it, and a local proxy that is not trusted makes every client
	// loopback. Default 2,000; negative for no limit.
	SocketsPerSubject, SocketsPerAddress int
	// Subscriptions is how many one socket may have. Default 1,000.
	Subscriptions int
	// MessagesPerSecond is how many messages one socket may send. Default 100, and more at once (wsfeed.Config); negative for
	// no limit.
	MessagesPerSecond int
	// MessageBytes is the largest message a socket may send. Default 64 KiB.
	MessageBytes int
	// RequestsPerSecond bounds the requests of one token's subject, or of one address where there is no token; twice as
	// many may come at once. Loopback is not counted by address. Default 500; negative for no limit.
	RequestsPerSecond int
	// BodyBytes is the largest body of a request. Default 2 MiB.
	BodyBytes int
	// HeaderBytes is the largest header of a request. Default 64 KiB.
	HeaderBytes int
	// HeaderTimeout is how long a header, and a TLS handshake, may take to arrive. Default 10 s.
	HeaderTimeout time.Duration
	// BodyTimeout is how long a body may take to arrive. Default 30 s.
	BodyTimeout time.Duration
	// PageSize is the most items of a page and of a live list, 50 to 1,000. Default 1,000.
	PageSize int
	// HeldBytes is how many bytes of bodies and answers of the HTTP API may be in memory at once; one subject or address may
	// have a quarter of them. Default 64 MiB.
	HeldBytes int
	// CatchUpReads is how many reads of Postgres the feed makes at once; further reads wait for a slot. Default: half the pool
	// for reads.
	CatchUpReads int
	// FilterBytes bounds the filters of one socket's live lists. Default 64 KiB.
	FilterBytes int
	// ListsPerSubject and FilterBytesPerSubject bound the live lists of one token's subject, and their filters. Default
	// 10,000 and 1 MiB; negative for no limit.
	ListsPerSubject, FilterBytesPerSubject int
	// ListBytes bounds the items that all live lists hold, and ListBytesPerSocket those of the lists of one socket. Default
	// 256 MiB and 32 MiB.
	ListBytes, ListBytesPerSocket int
	// FrameBytes bounds the memory of all sockets for frames above 16 KiB and for reads that are not sent yet. Default 256 MiB.
	FrameBytes int
}

// withDefaults sets the defaults. Connections is chosen before (edge.ConnectionsWithin).
func (l Limits) withDefaults(reads int) (Limits, error) {
	if l.Sockets == 0 {
		l.Sockets = 20_000
		if l.Connections > 0 {
			l.Sockets = min(l.Sockets, max(1, l.Connections*9/10))
		}
	}
	l.SocketsPerSubject = cmp.Or(l.SocketsPerSubject, 2000)
	l.SocketsPerAddress = cmp.Or(l.SocketsPerAddress, 2000)
	l.Subscriptions = cmp.Or(l.Subscriptions, 1000)
	l.MessagesPerSecond = cmp.Or(l.MessagesPerSecond, 100)
	l.MessageBytes = cmp.Or(l.MessageBytes, wsfeed.MaxMessageBytes)
	l.RequestsPerSecond = cmp.Or(l.RequestsPerSecond, 500)
	l.BodyBytes = cmp.Or(l.BodyBytes, 2<<20)
	l.HeaderBytes = cmp.Or(l.HeaderBytes, 64<<10)
	l.HeaderTimeout = cmp.Or(l.HeaderTimeout, 10*time.Second)
	l.BodyTimeout = cmp.Or(l.BodyTimeout, 30*time.Second)
	l.PageSize = cmp.Or(l.PageSize, httpapi.MaxPageSize)
	l.HeldBytes = cmp.Or(l.HeldBytes, 64<<20)
	l.CatchUpReads = cmp.Or(l.CatchUpReads, max(1, reads/2)) // the other half is for requests
	l.FilterBytes = cmp.Or(l.FilterBytes, 64<<10)
	l.ListsPerSubject = cmp.Or(l.ListsPerSubject, 10_000)
	l.FilterBytesPerSubject = cmp.Or(l.FilterBytesPerSubject, 1<<20)
	l.ListBytes = cmp.Or(l.ListBytes, 256<<20)
	l.ListBytesPerSocket = cmp.Or(l.ListBytesPerSocket, 32<<20)
	l.FrameBytes = cmp.Or(l.FrameBytes, 256<<20)
	if min(l.FilterBytes, l.ListBytes, l.ListBytesPerSocket, l.FrameBytes) < 0 {
		return l, errors.New("the limits of bytes in lists and frames cannot be turned off")
	}
	if min(l.Subscriptions, l.MessageBytes, l.BodyBytes, l.HeaderBytes, l.HeldBytes, l.CatchUpReads) < 0 || min(l.HeaderTimeout, l.BodyTimeout) < 0 {
		return l, errors.New("only limits of connections, sockets, messages and requests can be turned off")
	}
	if l.PageSize < 50 || l.PageSize > httpapi.MaxPageSize {
		return l, fmt.Errorf("the page size must be between 50 and %d, got %d", httpapi.MaxPageSize, l.PageSize)
	}
	return l, nil
}

// feed puts the feed's limits into its configuration.
func (l Limits) feed(c *wsfeed.Config) {
	c.MaxSockets, c.MaxSocketsPerSubject, c.MaxSocketsPerAddress = l.Sockets, l.SocketsPerSubject, l.SocketsPerAddress
	c.MaxSubscriptions, c.MessagesPerSecond, c.MessageBytes = l.Subscriptions, l.MessagesPerSecond, l.MessageBytes
	c.ListItems, c.CatchUpReads = l.PageSize, l.CatchUpReads
	c.MaxFilterBytes, c.MaxListsPerSubject, c.MaxFilterBytesPerSubject = l.FilterBytes, l.ListsPerSubject, l.FilterBytesPerSubject
	c.MaxListBytes, c.MaxListBytesPerSocket, c.MaxFrameBytes = l.ListBytes, l.ListBytesPerSocket, l.FrameBytes
}

// values returns the limits by their metric names; a limit that is off is -1, times are in seconds.
func (l Limits) values() map[string]float64 {
	whole := func(n int) float64 { return float64(max(-1, n)) }
	return map[string]float64{
		edge.LimitConnections:             whole(l.Connections),
		wsfeed.LimitSockets:               whole(l.Sockets),
		wsfeed.LimitSocketsPerSubject:     whole(l.SocketsPerSubject),
		wsfeed.LimitSocketsPerAddress:     whole(l.SocketsPerAddress),
		wsfeed.LimitSubscriptions:         whole(l.Subscriptions),
		wsfeed.LimitMessages:              whole(l.MessagesPerSecond),
		wsfeed.LimitMessageBytes:          whole(l.MessageBytes),
		access.LimitRequests:              whole(l.RequestsPerSecond),
		httpapi.LimitBodyBytes:            whole(l.BodyBytes),
		"header_bytes":                    whole(l.HeaderBytes),
		edge.LimitHeaderTimeout:           l.HeaderTimeout.Seconds(),
		httpapi.LimitBodyTimeout:          l.BodyTimeout.Seconds(),
		httpapi.LimitPageSize:             whole(l.PageSize),
		httpapi.LimitHeldBytes:            whole(l.HeldBytes),
		wsfeed.LimitCatchUpReads:          whole(l.CatchUpReads),
		wsfeed.LimitFilterBytes:           whole(l.FilterBytes),
		wsfeed.LimitListsPerSubject:       whole(l.ListsPerSubject),
		wsfeed.LimitFilterBytesPerSubject: whole(l.FilterBytesPerSubject),
		wsfeed.LimitListBytes:             whole(l.ListBytes),
		wsfeed.LimitListBytesPerSocket:    whole(l.ListBytesPerSocket),
		wsfeed.LimitFrameBytes:            whole(l.FrameBytes),
	}
}

// limitMetrics are the configured limits, and for each the number of requests that were refused or had to wait.
type limitMetrics struct{ over *prometheus.CounterVec }

func newLimitMetrics(registry *prometheus.Registry, l Limits) *limitMetrics {
	m := &limitMetrics{over: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "agentexec_over_limit_total", Help: "What was refused, or had to wait, because of a limit.",
	}, []string{"limit"})}
	set := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "agentexec_limit", Help: "The limits as they are set, times in seconds; -1 for none.",
	}, []string{"limit"})
	registry.MustRegister(m.over, set)
	for name, value := range l.values() {
		set.WithLabelValues(name).Set(value)
		m.over.WithLabelValues(name)
	}
	return m
}

// note counts one refusal.
func (m *limitMetrics) note(limit string) {
	if m != nil {
		m.over.WithLabelValues(limit).Inc()
	}
}
