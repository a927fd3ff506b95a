package wsfeed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/agentexec/agentexec/wsfeed/internal/netconn"
	"github.com/agentexec/agentexec/wsfeed/internal/quota"
	"github.com/agentexec/agentexec/wsfeed/internal/wire"
)

// Handler serves the feed:
//
//	GET /v1/feed                 a WebSocket with many subscriptions
//	GET /v1/feed/{agent_id}      one activity, as a WebSocket or, with Accept: text/event-stream, as Server-Sent Events
func (h *Hub) Handler() http.Handler {
	up := websocket.Upgrader{
		Subprotocols:    []string{Protocol},
		CheckOrigin:     func(*http.Request) bool { return true }, // authorize has checked it
		WriteBufferPool: new(sync.Pool),                           // lends a buffer while a socket writes an unprepared message
		WriteBufferSize: 4096,
		Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
			h.cfg.Problem(w, status, "", reason.Error())
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/feed", func(w http.ResponseWriter, r *http.Request) {
		if access, ok := h.authorize(w, r); ok {
			h.withSlot(w, r, access, func(slot quota.Slot) (kept bool) { return h.serve(&up, w, r, access, slot, nil) })
		}
	})
	mux.HandleFunc("GET /v1/feed/{agent_id}", func(w http.ResponseWriter, r *http.Request) {
		access, ok := h.authorize(w, r)
		if !ok {
			return
		}
		h.withSlot(w, r, access, func(slot quota.Slot) (kept bool) {
			target, ok := h.target(w, r, access)
			switch {
			case !ok:
			case websocket.IsWebSocketUpgrade(r):
				return h.serve(&up, w, r, access, slot, target)
			case acceptsEvents(r):
				h.serveEvents(w, r, access, target)
			default:
				w.Header().Set("Upgrade", "websocket")
				h.cfg.Problem(w, http.StatusUpgradeRequired, "",
					"connect with a WebSocket, or ask for Accept: text/event-stream")
			}
			return false
		})
	})
	return mux
}

// target is the request of a one-activity URL.
type target struct {
	scope    *feedScope
	agentID  uuid.UUID
	afterSeq int
}

// target parses the URL and checks that the activity exists in the scope: later a 404 is impossible.
func (h *Hub) target(w http.ResponseWriter, r *http.Request, access Access) (*target, bool) {
	v := newFeedScope(access.Scope)
	refuse := func(status int, code, detail string) (*target, bool) {
		h.cfg.Problem(w, status, code, detail)
		return nil, false
	}
	id, err := wire.ParseID(r.PathValue("agent_id"))
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, "TA422", err.Error())
	}
	t := &target{agentID: id, scope: v}
	after := r.URL.Query().Get("after_seq")
	if last := r.Header.Get("Last-Event-ID"); last != "" && !websocket.IsWebSocketUpgrade(r) {
		after = last // the last event that an EventSource received
	}
	if after != "" {
		n, err := strconv.ParseInt(after, 10, 64)
		if err == nil {
			t.afterSeq, err = wire.CheckSeq(n)
		}
		if err != nil {
			return refuse(http.StatusUnprocessableEntity, "TA422",
				fmt.Sprintf("after_seq must be between 0 and 2147483647, got %.50q", after))
		}
	}
	if known := h.topic(id); known != nil && known.exists(v) {
		return t, true
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.ReadTimeout) // includes the wait for a slot among the reads
	defer cancel()
	err = h.exists(ctx, id, v, h.ownerOf(r, access))
	refusal := (*Refusal)(nil)
	switch {
	case errors.As(err, &refusal):
		h.refused(refusal, "agent_id", id)
		return refuse(http.StatusUnprocessableEntity, "", refusal.Message)
	case errors.Is(err, ErrNotFound):
		return refuse(http.StatusNotFound, "TA404", "no activity with agent_id "+id.String())
	case err != nil:
		w.Header().Set("Retry-After", "1")
		return refuse(http.StatusServiceUnavailable, "", "the database cannot be reached")
	}
	return t, true
}

// ownerOf returns the owner of a request's reads while there is no socket: the token's subject, or the address.
func (h *Hub) ownerOf(r *http.Request, access Access) any {
	if access.Subject != "" || h.cfg.Address == nil {
		return "subject " + access.Subject
	}
	return "address " + h.cfg.Address(r)
}

// serve upgrades and returns, because the handler's goroutine and its buffers would cost more than the idle socket itself. It
// reports whether there is a socket now, which keeps the slot.
func (h *Hub) serve(up *websocket.Upgrader, w http.ResponseWriter, r *http.Request, access Access, slot quota.Slot, only *target) bool {
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		h.cfg.Problem(w, http.StatusUpgradeRequired, "", "connect with a WebSocket")
		return false
	}
	hijacker := &frameHijacker{ResponseWriter: w, hub: h}
	ws, err := up.Upgrade(hijacker, r, nil)
	if err != nil {
		return false // the upgrader has answered
	}
	scope := newFeedScope(access.Scope)
	if only != nil {
		scope = only.scope
	}
	c := newConn(h, ws, hijacker, access, scope, slot, only != nil)
	if !h.admit(c) {
		_ = ws.WriteControl(websocket.CloseMessage,
			websocket.FormatCloseMessage(websocket.CloseGoingAway, "the server is going away"), time.Time{})
		_ = ws.Close()
		return false
	}
	if only == nil {
		c.reply(wire.Welcome(h.cfg.Now()))
	} else {
		s := &connSub{conn: c, scope: c.scope}
		c.add(s, h.joinTopic(only.agentID, "", only.afterSeq, s))
	}
	c.start()
	return true
}

func acceptsEvents(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// frameHijacker hands gorilla the connection as a frameConn, and a buffer to read through that the hub can inspect.
type frameHijacker struct {
	http.ResponseWriter
	hub  *Hub
	conn *netconn.FrameConn
	in   *bufio.Reader
}

// readBuffer is an idle socket's memory; larger messages only need more reads. gorilla accepts no smaller buffer.
const readBuffer = 257

// Hijack implements http.Hijacker.
func (p *frameHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(p.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	netconn.BoundSendBuffer(c, p.hub.cfg.InFlightBytes/2)
	p.conn = netconn.NewFrameConn(c, p.hub.cfg.PongTimeout, p.hub.cfg.WriteTimeout)
	if rw.Reader.Buffered() == 0 { // else the client was too early, and gorilla refuses it
		p.in = bufio.NewReaderSize(p.conn, readBuffer)
		rw = bufio.NewReadWriter(p.in, rw.Writer)
	}
	return p.conn, rw, nil
}

// Listener gives l's connections progress deadlines, and bounds the bytes that the kernel holds for each. TLS wraps the
// result.
func (h *Hub) Listener(l net.Listener) net.Listener {
	return netconn.NewListener(l, h.cfg.WriteTimeout, h.cfg.InFlightBytes/2)
}
