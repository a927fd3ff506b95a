package edge

import (
	"fmt"
	"log/slog"
)

const (
	// baseFiles are those that the sidecar opens beside its clients' connections and those of its pool: for the tail, the
	// listener, certificates, keys, and what the Go runtime needs.
	baseFiles = 28
	// usualReserve is what is left of many files, for what is not known here.
	usualReserve = 256
	// leastConnections are the fewest that can serve a client; fewer are an error at the start.
	leastConnections = 16
	// fewFiles is where a warning is logged.
	fewFiles = 1024
)

// ConnectionsWithin returns the limit of connections in a process that may open so many files: the wanted one (0: as many
// as fit), lowered where it does not fit. A process that has no file left cannot reach Postgres, and its requests hang.
// Files 0 are not known; a negative limit is none.
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

// placesToRefuse is how many connections above a limit are told so at once: each needs a file meanwhile.
func placesToRefuse(most int) int {
	const usual = 64
	if most < 0 {
		return usual
	}
	return max(2, min(usual, most/8))
}
