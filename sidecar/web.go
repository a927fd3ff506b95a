package sidecar

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// newWeb is the HTTP server, and the listener it serves: connections are counted, get progress deadlines beneath TLS, and are bounded
// in the time they may take. Answers have no time of their own: who takes them slowly gets them, who takes nothing is
// dropped (wsfeed.Hub.Listener).
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
