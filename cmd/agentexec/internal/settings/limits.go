package settings

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/sidecar"
)

// limit is one limit of the sidecar: a flag, or the variable of the same name. docs/limits.md has a row for each.
type limit struct {
	name, about, usual string
	number             func(*sidecar.Limits) *int
	span               func(*sidecar.Limits) *time.Duration
	optional           bool // "off" turns it off
}

var limits = []limit{
	{name: "max-connections", about: "connections open at once", usual: "the process's file limit less 256, or less a quarter", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.Connections }},
	{name: "max-sockets", about: "WebSockets and event streams open at once", usual: "20000, and at most 9/10 of the connections", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.Sockets }},
	{name: "max-sockets-per-subject", about: "of them of one token's subject", usual: "2000", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.SocketsPerSubject }},
	{name: "max-sockets-per-address", about: "of them from one address, loopback not counted", usual: "2000", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.SocketsPerAddress }},
	{name: "max-subscriptions", about: "subscriptions of one socket", usual: "1000",
		number: func(l *sidecar.Limits) *int { return &l.Subscriptions }},
	{name: "max-messages-per-second", about: "messages a second from one socket", usual: "100", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.MessagesPerSecond }},
	{name: "max-message-bytes", about: "bytes of one message from a socket", usual: "65536",
		number: func(l *sidecar.Limits) *int { return &l.MessageBytes }},
	{name: "max-requests-per-second", about: "requests a second of one token's subject or, without one, one address, loopback not counted", usual: "500",
		optional: true, number: func(l *sidecar.Limits) *int { return &l.RequestsPerSecond }},
	{name: "max-body-bytes", about: "bytes of a request's body", usual: "2097152",
		number: func(l *sidecar.Limits) *int { return &l.BodyBytes }},
	{name: "max-header-bytes", about: "bytes of a request's header", usual: "65536",
		number: func(l *sidecar.Limits) *int { return &l.HeaderBytes }},
	{name: "header-timeout", about: "for a header, and a TLS handshake, to arrive", usual: "10s",
		span: func(l *sidecar.Limits) *time.Duration { return &l.HeaderTimeout }},
	{name: "body-timeout", about: "for a body to arrive", usual: "30s",
		span: func(l *sidecar.Limits) *time.Duration { return &l.BodyTimeout }},
	{name: "max-page-size", about: "items of a page and of a live list, 50 to 1000", usual: "1000",
		number: func(l *sidecar.Limits) *int { return &l.PageSize }},
	{name: "max-held-bytes", about: "bytes of request bodies and answers held in memory at once", usual: "67108864",
		number: func(l *sidecar.Limits) *int { return &l.HeldBytes }},
	{name: "max-catch-up-reads", about: "reads of Postgres for sockets at once", usual: "half the connections for reads",
		number: func(l *sidecar.Limits) *int { return &l.CatchUpReads }},
	{name: "max-filter-bytes", about: "bytes of the filters of one socket's live lists", usual: "65536",
		number: func(l *sidecar.Limits) *int { return &l.FilterBytes }},
	{name: "max-lists-per-subject", about: "live lists of one token's subject", usual: "10000", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.ListsPerSubject }},
	{name: "max-filter-bytes-per-subject", about: "bytes of the filters of these", usual: "1048576", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.FilterBytesPerSubject }},
	{name: "max-list-bytes", about: "bytes of the items of all live lists", usual: "268435456",
		number: func(l *sidecar.Limits) *int { return &l.ListBytes }},
	{name: "max-list-bytes-per-socket", about: "bytes of the items of one socket's live lists", usual: "33554432",
		number: func(l *sidecar.Limits) *int { return &l.ListBytesPerSocket }},
	{name: "max-frame-bytes", about: "bytes of large frames that wait for slow sockets, of all sockets", usual: "268435456",
		number: func(l *sidecar.Limits) *int { return &l.FrameBytes }},
}

func registerLimits(flags *pflag.FlagSet) {
	for _, l := range limits {
		value, off := "`N`", ""
		if l.span != nil {
			value = "`DURATION`"
		}
		if l.optional {
			off = "; off for none"
		}
		flags.String(l.name, "", fmt.Sprintf("at most %s %s (%s; default %s%s)", value, l.about, variablesOf(l.name)[0], l.usual, off))
	}
}

// limits returns the limits that were set; the others stay zero.
func (s *Reader) limits() (sidecar.Limits, error) {
	var chosen sidecar.Limits
	for _, l := range limits {
		text, source := s.Get(l.name)
		switch {
		case text == "":
		case l.optional && text == "off":
			*l.number(&chosen) = -1
		case l.span != nil:
			d, err := time.ParseDuration(text)
			if err != nil || d <= 0 {
				return chosen, exit.UsageError(nil, "%s: %q must be a duration above zero, such as 10s", source, text)
			}
			*l.span(&chosen) = d
		default:
			n, err := strconv.ParseInt(text, 10, 32)
			least, most := int64(1), int64(math.MaxInt32)
			if l.name == "max-page-size" {
				least, most = 50, 1000
			}
			if err != nil || n < least || n > most {
				return chosen, exit.UsageError(nil, "%s: %q must be a whole number from %d to %d%s", source, text, least, most,
					map[bool]string{true: ", or off"}[l.optional])
			}
			*l.number(&chosen) = int(n)
		}
	}
	return chosen, nil
}
