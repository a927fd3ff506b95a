package sidecar

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"time"
)

// profilesPath is where Go's profiles are served, as `go tool pprof` expects them.
const profilesPath = "/debug/pprof/"

// profiles serves Go's profiles. Package net/http/pprof would also put them into http.DefaultServeMux, which a program that
// mounts Server.Handler may serve to every client.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(profilesPath, func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, profilesPath)
		if name == "" {
			for _, p := range pprof.Profiles() {
				_, _ = fmt.Fprintln(w, p.Name())
			}
			return
		}
		profile := pprof.Lookup(name)
		if profile == nil {
			http.NotFound(w, r)
			return
		}
		debug, _ := strconv.Atoi(r.FormValue("debug")) // 0 is the binary format
		_ = profile.WriteTo(w, debug)
	})
	mux.HandleFunc(profilesPath+"cmdline", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, strings.Join(os.Args, "\x00"))
	})
	mux.HandleFunc(profilesPath+"symbol", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "num_symbols: 1\n") // profiles carry their symbols
	})
	mux.HandleFunc(profilesPath+"profile", recorded(pprof.StartCPUProfile, pprof.StopCPUProfile, 30))
	mux.HandleFunc(profilesPath+"trace", recorded(trace.Start, trace.Stop, 1))
	return mux
}

// recorded records for the seconds of the request and answers with the result.
func recorded(start func(io.Writer) error, stop func(), seconds int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked, _ := strconv.Atoi(r.FormValue("seconds"))
		if err := start(w); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer stop()
		select {
		case <-time.After(time.Duration(cmp.Or(asked, seconds)) * time.Second):
		case <-r.Context().Done():
		}
	}
}
