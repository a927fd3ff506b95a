package edge

import (
	"fmt"
	"log/slog"
)

const (
	// baseFiles are the files that the sidecar opens beside those of clients and of its pool: for the tail, the listener,
	// certificates, keys and the Go runtime.
	baseFiles = 28
	// usualReserve is how many files stay free for other uses, where there are many.
	usualReserve = 256
	// leastConnections is the lowest limit that can serve a client; a lower one is an error at the start.
	leastConnections = 16
	// fewFiles is where a warning is logged.
	fewFiles = 1024
)

// ConnectionsWithin returns the limit of connections of a process that may open so many files: the wanted one (0: as many as
// fit), lowered where it does not fit. A process without a free file cannot reach Postgres, and its requests hang. Files 0
// means unknown; a negative limit means none.
func ConnectionsWithin(files, wanted, pool int, log *slog.Logger) (int, error) {
	if files <= 0 || wanted < 0 {
		if wanted == 0 {
			return -1, nil
		}
		return wanted, nil
	}
	free := files - baseFiles - pool
	if free < leastConnections {
		return 0, fmt.Errorf("this process may open %d files, and with %d connections to Postgres it needs at least %d: "+
			"raise that with ulimit -n %d (LimitNOFILE of systemd)", files, pool, files-free+leastConnections, fewFiles)
	}
	fit := min(free-placesToRefuse(free), files-min(usualReserve, files/4))
	switch {
	case wanted > fit:
		log.Warn("--max-connections is lowered to what the process's files allow; raise them with ulimit -n",
			"files", files, "connections", fit, "wanted", wanted)
		return fit, nil
	case wanted > 0:
		return wanted, nil
	case files < fewFiles:
		log.Warn("this process may open few files, so it takes few connections; raise them with ulimit -n",
			"files", files, "connections", fit)
	}
	return fit, nil
}

// placesToRefuse returns how many connections above a limit are answered at once: each needs a file meanwhile.
func placesToRefuse(most int) int {
	const usual = 64
	if most < 0 {
		return usual
	}
	return max(2, min(usual, most/8))
}
