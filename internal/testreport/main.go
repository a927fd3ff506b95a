// Command testreport reads what `go test -json` prints and shows it as `go test` does: a line for each package, and the
// output of tests that failed. With -v it shows all output. It adds a line for every test that was skipped, with the reason
// that the test gave, to the file that AGENTEXEC_SKIPPED names, or else prints those lines at the end.
//
// It ends with code 1 when a package failed. tools/go-test runs it.
//
// May import: the standard library.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
)

func main() {
	r := newReport(os.Stdout, slices.Contains(os.Args[1:], "-v"))
	err := r.read(os.Stdin)
	if err == nil {
		err = r.keepSkipped(os.Getenv("AGENTEXEC_SKIPPED"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	if err != nil || r.failed {
		os.Exit(1)
	}
}

// keepSkipped appends a line for each skipped test to a file, or prints them where name is empty.
func (r *report) keepSkipped(name string) error {
	if name == "" {
		for _, line := range r.skipped {
			_, _ = fmt.Fprintln(r.out, "SKIPPED", line)
		}
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for _, line := range r.skipped {
		if _, err := fmt.Fprintln(f, line); err != nil {
			return err
		}
	}
	return f.Close()
}

// read shows one event after the other, until the end.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
