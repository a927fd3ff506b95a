package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/pkg/client"
)

const (
	protocol = "agentexec.v1"
	// silence is the longest time without a frame. The server pings every 20 s.
	silence = 60 * time.Second
	// maxFrame bounds a frame: one line has at most 1 MiB of message and of data, and its escapes are longer.
	maxFrame = 32 << 20
	// minRetry and maxRetry bound the growing delay after a failure.
	minRetry, maxRetry = 100 * time.Millisecond, 5 * time.Second
	// probeEvery is the time between two probes: the feed does not say that the sidecar has lost its database.
	probeEvery = 5 * time.Second
	// closeUnauthorized is the close code for a token that expired.
	closeUnauthorized = 4401
)

// errLeft means that the caller left the loop.
var errLeft = errors.New("left")

// Watch implements Source: it follows the feed of one activity, and resumes after the last line where the connection breaks.
func (s *Sidecar) Watch(ctx context.Context, id uuid.UUID, afterSeq int) iter.Seq2[client.Log, error] {
	return func(yield func(client.Log, error) bool) {
		f := &follower{s: s, id: id, seq: afterSeq}
		retry := backoff.Growing{Least: minRetry, Most: maxRetry}
		for {
			before := f.frames
			err := f.follow(ctx, yield)
			switch {
			case err == nil || errors.Is(err, errLeft):
				return
			case ctx.Err() != nil:
				yield(client.Log{}, ctx.Err())
				return
			case f.hopeless(err):
				yield(client.Log{}, err)
				return
			}
			if f.frames > before {
				retry.Reset()
			}
			s.outages.note(err)
			wait := retry.Next()
			var refused *RefusedError
			if errors.As(err, &refused) {
				wait = max(wait, refused.RetryAfter)
			}
			if err := backoff.Wait(ctx, wait); err != nil {
				yield(client.Log{}, err)
				return
			}
		}
	}
}

// follower is one Watch of a sidecar.
type follower struct {
	s       *Sidecar
	id      uuid.UUID
	seq     int       // of the last line
	created time.Time // the activity's created_at, once known
	frames  int       // received
}

// frame is any frame of the feed of one activity.
type frame struct {
	Type     string          `json:"type"`
	Activity json.RawMessage `json:"activity"`
	Logs     []client.Log    `json:"logs"`
	NextSeq  int             `json:"next_seq"`
	Reason   string          `json:"reason"`
	Code     string          `json:"code"`
	Message  string          `json:"message"`
}

// follow connects once and yields lines until the end (nil), until the caller leaves (errLeft), or until the connection breaks.
func (f *follower) follow(ctx context.Context, yield func(client.Log, error) bool) error {
	ws, err := f.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = ws.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = ws.Close() }) // ends the read
	defer stop()
	defer f.probe(ctx)()
	for {
		var next frame
		_ = ws.SetReadDeadline(time.Now().Add(silence))
		if err := ws.ReadJSON(&next); err != nil {
			return f.broken(err)
		}
		f.frames++
		f.s.outages.note(nil)
		if ended, err := f.take(next, yield); ended || err != nil {
			return err
		}
	}
}

// probe reads the activity now and then until stop is called, so that Outages learns whether the sidecar can read.
func (f *follower) probe(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for backoff.Wait(ctx, f.s.probeEvery) == nil {
			_, _ = f.s.PageJSON(ctx, f.id, client.DetailParams{LogLimit: new(0)})
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (f *follower) dial(ctx context.Context) (*websocket.Conn, error) {
	address := f.s.base.JoinPath("/v1/feed/" + f.id.String())
	address.Scheme = map[string]string{"http": "ws", "https": "wss"}[address.Scheme]
	address.RawQuery = url.Values{"after_seq": {strconv.Itoa(f.seq)}}.Encode()
	header, err := f.s.header()
	if err != nil {
		return nil, err
	}
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: answerTimeout, Subprotocols: []string{protocol}}
	ws, response, err := dialer.DialContext(ctx, address.String(), header)
	if response != nil {
		defer func() { _ = response.Body.Close() }()
	}
	switch {
	case errors.Is(err, websocket.ErrBadHandshake) && response != nil:
		body, _ := io.ReadAll(response.Body) // gorilla keeps the first kilobyte
		return nil, f.s.refusal(response, body)
	case err != nil:
		return nil, f.s.unreachable(err)
	}
	ws.SetReadLimit(maxFrame)
	pong := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		_ = ws.SetReadDeadline(time.Now().Add(silence))
		return pong(data)
	})
	return ws, nil
}

// take handles a frame. It reports whether the activity has ended.
func (f *follower) take(next frame, yield func(client.Log, error) bool) (ended bool, err error) {
	switch next.Type {
	case "snapshot":
		var activity client.Activity
		if err := json.Unmarshal(next.Activity, &activity); err != nil {
			return false, err
		}
		if !f.created.IsZero() && !f.created.Equal(activity.CreatedAt) {
			return false, madeAgain(activity.CreatedAt)
		}
		f.created = activity.CreatedAt
	case "logs":
		for _, line := range next.Logs {
			line.Data = notNull(line.Data)
			if line.Seq <= f.seq {
				continue
			}
			f.seq = line.Seq
			if !yield(line, nil) {
				return false, errLeft
			}
		}
	case "gap":
		if next.Reason == "reset" {
			return false, fmt.Errorf("%w: the lines from %d on", client.ErrReset, next.NextSeq)
		}
	case "end":
		return true, nil
	case "error":
		if next.Code == "not_found" {
			return false, &client.DBError{Code: "TA404", Message: "no activity with agent_id " + f.id.String()}
		}
		return false, &RefusedError{Status: http.StatusUnprocessableEntity, Message: fmt.Sprintf("%s refuses: %s", f.s.base, next.Message)}
	}
	return false, nil // later versions may have more types
}

// broken returns the error of a connection that broke or was closed.
func (f *follower) broken(err error) error {
	var closed *websocket.CloseError
	if !errors.As(err, &closed) {
		return f.s.unreachable(err)
	}
	switch closed.Code {
	case websocket.CloseProtocolError, websocket.CloseUnsupportedData, websocket.CloseInvalidFramePayloadData, websocket.ClosePolicyViolation,
		websocket.CloseMessageTooBig:
		return &RefusedError{Status: http.StatusBadRequest, Message: fmt.Sprintf("%s closed the feed: %s", f.s.base, closed.Text)}
	case closeUnauthorized:
		return f.s.unreachable(errors.New("the token expired")) // the next try has a new one, or its answer says what is wrong
	}
	return f.s.unreachable(io.ErrUnexpectedEOF)
}

// hopeless reports whether no retry can succeed.
func (f *follower) hopeless(err error) bool {
	var (
		refused *RefusedError
		connect *ConnectError
	)
	switch {
	case errors.As(err, &refused):
		return !refused.Passing()
	case errors.As(err, &connect):
		return false
	}
	return true
}
