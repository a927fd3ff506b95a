package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/agentexec/agentexec/pkg/client"
)

// sayRunning tells a new user what there is, and what to try.
func (d *dev) sayRunning(page, schema string) {
	url, setURL := `"$AGENTEXEC_DATABASE_URL"`, ""
	if d.postgres != nil {
		setURL = fmt.Sprintf("    export AGENTEXEC_DATABASE_URL='%s'\n", d.databaseURL())
	} else if _, source := d.get("database-url"); source == "DATABASE_URL" {
		url = `"$DATABASE_URL"`
	} else if source == "--database-url" {
		setURL = "    export AGENTEXEC_DATABASE_URL=...\n" // theirs, with a password we do not print
	}
	psql := ""
	if program := d.psql(); program != "" {
		psql = fmt.Sprintf("    %s %s -c \"select %s.append_log(agent_id, 'Hello from psql') from %[3]s.activity_list where status = 'RUNNING' limit 1\"\n",
			program, url, schema)
	}
	stays := ""
	if d.postgres != nil {
		stays = fmt.Sprintf(" (the data stay in %s; --fresh begins anew)", tilde(d.postgres.DataDir))
	}
	out := newScreen(d.out)
	_, _ = fmt.Fprintf(out, "\n  agentexec is running:  %s\n\n", out.paint(client.StatusRunning, page))
	if n := *d.demo.agents.value; n > 0 {
		_, _ = fmt.Fprintf(out, "  %s the files of %s and say how far they are.\n", agentsHash(n), tilde(absolute(d.demo.dir)))
	}
	_, _ = fmt.Fprintf(out, "  In another terminal, try:\n\n%s%s    %s list\n\n  Stop with Ctrl-C%s.\n\n", setURL, psql, self(), stays)
}

func (d *dev) sayStopping() {
	lead := ""
	if newScreen(d.errOut).terminal {
		lead = "\n" // behind the ^C
	}
	_, _ = fmt.Fprintln(d.errOut, lead+"Stopping ... (once more: at once)")
}

func (d *dev) sayStopped() { _, _ = fmt.Fprintln(d.errOut, "Stopped.") }

// psql returns how to call psql, or nothing where there is none.
func (d *dev) psql() string {
	if _, err := exec.LookPath("psql"); err == nil {
		return "psql"
	}
	if d.postgres != nil {
		program := filepath.Join(d.postgres.Binaries.Dir, "psql")
		if _, err := os.Stat(program); err == nil {
			return program
		}
	}
	return ""
}

// self returns how this program is called again.
func self() string {
	if underGoRun() {
		return "go run ./cmd/agentexec"
	}
	if name := filepath.Base(os.Args[0]); name == os.Args[0] {
		return name // found in PATH
	}
	return os.Args[0]
}

func agentsHash(n int) string {
	if n == 1 {
		return "One demo agent hashes"
	}
	return fmt.Sprintf("%d demo agents hash", n)
}

// tilde shortens the user's home directory in a path.
func tilde(path string) string {
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return path
	}
	if rest, ok := strings.CutPrefix(path, home+string(filepath.Separator)); ok {
		return "~/" + rest
	}
	return path
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}
