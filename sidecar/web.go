package sidecar

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/agentexec/agentexec/sidecar/internal/edge"
)

// newWeb returns the HTTP server and its listener. Connections are counted, have progress deadlines beneath TLS, and time
// limits for their headers and bodies. Answers have no time limit of their own: a slow client gets them, and a client that
// reads nothing is dropped (wsfeed.Hub.Listener).
func (s *Server) newWeb(l net.Listener) (*http.Server, net.Listener) {
	limits, note := s.cfg.Limits, s.metrics.limits.note
	late := edge.NewHeaderTimeouts(note)
	web := &http.Server{
		Handler:           edge.HeaderArrived(s.routes),
		ReadHeaderTimeout: limits.HeaderTimeout,
		ReadTimeout:       limits.HeaderTimeout + limits.BodyTimeout + time.Second, // the API has its own time limit for a body, and reports it
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    limits.HeaderBytes,
		ConnState:         late.ConnState,
		ConnContext:       late.ConnContext,
		ErrorLog:          httpLog(s.cfg.Logger),
	}
	served := s.hub.Listener(edge.NewListener(l, &s.connections, limits.Connections, s.certificate != nil, note))
	if s.certificate != nil {
		served = tls.NewListener(served, s.certificate.Config())
	}
	return web, served
}
