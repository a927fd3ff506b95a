package wsfeed

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// SameOrigin lets a browser's page connect only to the host it came from. Programs that are no browsers send no
// Origin; they are not what this guards against.
func SameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// bufferPool lends gorilla a write buffer for the moments a socket writes an unprepared message.
var bufferPool sync.Pool

var noDeadline = time.Time{}
