package source

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Outages reports when a Source loses its connection and when it works again. Watch tries again by itself, so only Outages shows
// that nothing can come in the meantime.
//
// Lost is called with the reason of the first failure, Again after the first success that follows. Both may be called from any
// goroutine, one call at a time; they must not block.
type Outages struct {
	Lost  func(reason error)
	Again func()

	mu   sync.Mutex
	lost bool
}

// note records a failure, or a success where err is nil. It does nothing on a nil receiver.
func (o *Outages) note(err error) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err != nil && !o.lost:
		o.lost = true
		o.Lost(err)
	case err == nil && o.lost:
		o.lost = false
		o.Again()
	}
}

// Trace makes the connections of a configuration report to o: failed attempts to connect, and statements without an answer.
func (o *Outages) Trace(config *pgx.ConnConfig) { config.Tracer = tracer{o} }

// tracer reports the connections of pgx.
type tracer struct{ outages *Outages }

// TraceConnectStart implements pgx.ConnectTracer.
func (t tracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return ctx
}

// TraceConnectEnd implements pgx.ConnectTracer.
func (t tracer) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	if data.Err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		t.outages.note(data.Err)
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (t tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	switch {
	case data.Err == nil:
		t.outages.note(nil)
	case !errors.Is(ctx.Err(), context.Canceled) && Disconnected(data.Err):
		t.outages.note(data.Err)
	}
}

// Disconnected reports whether a call failed because the database or the sidecar is away, and not because of the call. Such a
// failure passes.
func Disconnected(err error) bool {
	var (
		refused *RefusedError
		connect *pgconn.ConnectError
		state   interface{ SQLState() string }
	)
	switch {
	case errors.As(err, &refused):
		return refused.Passing()
	case errors.As(err, &connect):
		return true
	case !errors.As(err, &state):
		return true
	}
	for _, class := range []string{"08", "53300", "57P"} { // the connection, too many of them, the server stops or starts
		if strings.HasPrefix(state.SQLState(), class) {
			return true
		}
	}
	return false
}
