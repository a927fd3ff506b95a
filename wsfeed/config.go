package wsfeed

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/agentexec/agentexec/wsfeed/internal/match"
	"github.com/agentexec/agentexec/wsfeed/internal/wire"
)

// Config bounds the feed. A zero value selects the default named.
type Config struct {
	// RingLines and RingBytes bound the recent lines kept per watched activity. Default 256 lines, 256 KiB.
	RingLines, RingBytes int
	// InFlightBytes bounds the bytes that one socket holds. One half is in this process: the frame being written and the
	// unsent rest of one read of Postgres. The other is in the kernel's send buffer. Only a single line, snapshot
	// or list that is larger passes, alone. Default 256 KiB.
	InFlightBytes int
	// FrameBytes is the size at which a frame of several lines is closed; one line may be larger. Default 128 KiB, and at
	// most half of InFlightBytes.
	FrameBytes int
	// CatchUpReads bounds the feed's reads of Postgres at once. Default 4.
	CatchUpReads int
	// ReadTimeout ends a read of Postgres that does not return; the feed tries it again. Default 30 s.
	ReadTimeout time.Duration
	// WriteTimeout ends a socket that takes no bytes for this long, with close code 4408. Default 20 s.
	WriteTimeout time.Duration
	// PongTimeout ends a socket that sends nothing for this long. Default 60 s.
	PongTimeout time.Duration
	// PingInterval is the time between two pings of a socket. Default 20 s, and at most 9/10 of PongTimeout.
	PingInterval time.Duration
	// DrainTimeout bounds the duration of Shutdown, or of a connection's own end: one half is for pending frames, the other
	// for the exchange of close frames. Default 5 s.
	DrainTimeout time.Duration
	// KeepAlive is the interval of comment lines on an idle event stream, so that proxies keep it open. Default 20 s.
	KeepAlive time.Duration
	// ListInterval is the least time between two reads of one live list. A slow read extends it: to n/4 times the duration of a
	// read of n ms, at most 20 times and at most ListRefresh. Default 100 ms.
	ListInterval time.Duration
	// ListRefresh is the time after which a watched list is read whole. Other reads bring only the items of activities that have new
	// lines. It covers changes that write no line, such as a deleted activity, a deleted child or another expect_every. Default 10 s.
	ListRefresh time.Duration
	// MaxSubscriptions bounds the subscriptions of one socket. Default 1000.
	MaxSubscriptions int
	// MaxSockets bounds the sockets and event streams in all, MaxSocketsPerSubject those of one Access.Subject and
	// MaxSocketsPerAddress those of one Address. A request over a limit is answered 429. Default 0: no limit.
	MaxSockets, MaxSocketsPerSubject, MaxSocketsPerAddress int
	// MessagesPerSecond bounds the messages of one socket, pings included; over it, close code 4429. A burst may have as
	// many, and ten more for each subscription the socket may have. Default 100; negative for no limit.
	MessagesPerSecond int
	// MessageBytes is the largest message a client may send; a larger one closes with 1009. Default MaxMessageBytes.
	MessageBytes int
	// ListItems bounds the limit that a client may set for a list, 50 to 1000. Default 1000.
	ListItems int
	// MaxFilterBytes bounds the filters of one socket's lists together; one filter has at most 1 KiB. Default 64 KiB.
	MaxFilterBytes int
	// MaxListsPerSubject and MaxFilterBytesPerSubject bound the lists, and their filters, of one Access.Subject.
	// Default 0: no limit.
	MaxListsPerSubject, MaxFilterBytesPerSubject int
	// MaxListBytes bounds the items that all lists hold, each version of an item counted once. A list that does not fit
	// ends with an error. Default 256 MiB.
	MaxListBytes int
	// MaxListBytesPerSocket bounds the items of the lists that one socket subscribes to. Default 32 MiB.
	MaxListBytesPerSocket int
	// MaxFrameBytes bounds the bytes that all sockets together hold: of frames above 16 KiB, and of reads of Postgres that
	// are not sent yet. Default 256 MiB.
	MaxFrameBytes int
	// Address returns the address of a request, "" for one that is not counted by address. Default: none is.
	Address func(*http.Request) string
	// Limited is called with the name of a limit that rejected or delayed something. Default: no call.
	Limited func(limit string)
	// CheckOrigin decides whether a browser's page may connect. Default: only pages of the same origin.
	CheckOrigin func(*http.Request) bool
	// Authorize returns the access of a request before it becomes a feed, or an error. An error with a method GetStatus() int
	// is answered with that status, any other with 401, and its text. Default: every client may see everything.
	Authorize func(*http.Request) (Access, error)
	// Renew does the same for a token that came over an open socket. An error with the status 429 is sent with the code
	// "limit", any other with "forbidden". Default: no token can be renewed.
	Renew func(context.Context, Renewal) (Access, error)
	// RenewalsPerSecond bounds the tokens that one socket may send; a burst may have ten times as many. Over it, the client
	// gets an error with the code "limit", and Renew is not called. Default 1; negative for no limit.
	RenewalsPerSecond int
	// Now returns the time by the clock of the database, for the welcome. Default time.Now.
	Now func() time.Time
	// Problem answers a request that is refused before it becomes a feed. Default: plain text.
	Problem func(w http.ResponseWriter, status int, code, detail string)
	// Delivered is called for every frame of lines that came from the tail while the subscription had all lines before them.
	// It receives the time from Line.CommittedAt of the newest line until the socket took the frame. The writers of all
	// sockets call it at once; it must not block. Default: no call.
	Delivered func(time.Duration)
	// Logger receives messages for an operator. Default: nothing is logged.
	Logger *slog.Logger
}

// The fixed measures of the protocol.
const (
	// Protocol is the WebSocket subprotocol, agentexec.v1.
	Protocol = wire.Protocol
	// MaxMessageBytes is the largest message a client may send unless Config.MessageBytes says otherwise.
	MaxMessageBytes = 64 << 10
)

// Close codes beyond those of RFC 6455.
const (
	CloseUnauthorized = 4401 // not authorised, or the token expired
	CloseTooSlow      = 4408 // the client took nothing for too long
	CloseOverLimit    = 4429 // over a limit
)

func (c Config) withDefaults() Config {
	setDefault(&c.RingLines, 256)
	setDefault(&c.RingBytes, 256<<10)
	setDefault(&c.InFlightBytes, 256<<10)
	setDefault(&c.FrameBytes, 128<<10)
	c.FrameBytes = min(c.FrameBytes, c.share())
	setDefault(&c.CatchUpReads, 4)
	setDefault(&c.ReadTimeout, 30*time.Second)
	setDefault(&c.WriteTimeout, 20*time.Second)
	setDefault(&c.PongTimeout, time.Minute)
	setDefault(&c.DrainTimeout, 5*time.Second)
	setDefault(&c.PingInterval, 20*time.Second)
	c.PingInterval = min(c.PingInterval, c.PongTimeout*9/10)
	setDefault(&c.KeepAlive, 20*time.Second)
	setDefault(&c.ListInterval, 100*time.Millisecond)
	setDefault(&c.ListRefresh, 10*time.Second)
	setDefault(&c.MaxSubscriptions, 1000)
	setDefault(&c.MessagesPerSecond, 100)
	setDefault(&c.RenewalsPerSecond, 1)
	setDefault(&c.MessageBytes, MaxMessageBytes)
	setDefault(&c.ListItems, match.MaxLimit)
	setDefault(&c.MaxFilterBytes, 64<<10)
	setDefault(&c.MaxListBytes, 256<<20)
	setDefault(&c.MaxListBytesPerSocket, 32<<20)
	setDefault(&c.MaxFrameBytes, 256<<20)
	if c.CheckOrigin == nil {
		c.CheckOrigin = SameOrigin
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Problem == nil {
		c.Problem = func(w http.ResponseWriter, status int, _, detail string) { http.Error(w, detail, status) }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
