// Command agentexec tracks long-running work in Postgres and shows it live: the sidecar, its private Postgres for
// development, and small commands that create, log, end, list and watch activities.
//
// main.go runs a command and turns its error into one line and an exit code (errors.go), root.go has the commands and
// the flags they share (settings.go), each command has a file of its own name.
//
// May import: everything.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command and returns its exit code. Answers go to stdout, everything else to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s := &settings{}
	root := newRoot(s)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if message := describe(err); message != "" {
		_, _ = fmt.Fprintln(stderr, "agentexec: "+s.advise(message))
	}
	return exitCode(err)
}
