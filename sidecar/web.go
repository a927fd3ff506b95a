package sidecar

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// newWeb returns the HTTP server, and the listener it serves. Connections are counted, have progress deadlines beneath TLS, and
// time limits for their headers and bodies. Answers have no time limit of their own: a slow client gets them, and one that takes
// nothing is dropped (wsfeed.Hub.Listener).
func (s *Server) newWeb(l net.Listener) (*http.Server, net.Listener) {
	limits, note := s.cfg.Limits, s.metrics.limits.note
	late := newHeaderTimeouts(note)
	web := &http.Server{
		Handler:           arrived(s.routes),
		ReadHeaderTimeout: limits.HeaderTimeout,
		ReadTimeout:       limits.HeaderTimeout + limits.BodyTimeout + time.Second, // the API has its own for a body, and says so
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    limits.HeaderBytes,
		ConnState:         late.connState,
		ConnContext:       late.connContext,
		ErrorLog:          httpLog(s.cfg.Logger),
	}
	served := s.hub.Listener(newLimitListener(l, &s.connections, limits.Connections, s.certificate != nil, note))
	if s.certificate != nil {
		served = tls.NewListener(served, s.certificate.config())
	}
	return web, served
}
