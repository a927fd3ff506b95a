package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
)

// event is one of `go test -json`; see `go doc test2json`.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
}

type test struct{ pkg, name string }

type report struct {
	out     io.Writer
	verbose bool
	failed  bool
	skipped []string        // "package TestName: reason"
	output  map[test]string // of tests that have not ended; of a package itself under an empty name
}

func newReport(out io.Writer, verbose bool) *report {
	return &report{out: out, verbose: verbose, output: make(map[test]string)}
}

// line takes one line of the input. A line that is no event is shown as it is.
func (r *report) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		_, _ = r.out.Write(line)
		return
	}
	of := test{e.Package, e.Test}
	switch e.Action {
	case "output":
		if r.verbose {
			_, _ = io.WriteString(r.out, e.Output)
		}
		r.output[of] += e.Output
	case "build-output":
		_, _ = io.WriteString(r.out, e.Output)
	case "build-fail":
		r.failed = true
	case "pass", "fail", "skip":
		r.ended(of, e.Action)
	}
}

// ended shows what a test or a package printed: all of one that failed, the summary of any package.
func (r *report) ended(of test, action string) {
	output := r.output[of]
	delete(r.output, of)
	failed := action == "fail"
	r.failed = r.failed || failed
	if action == "skip" && of.name != "" {
		r.skipped = append(r.skipped, fmt.Sprintf("%s %s: %s", path.Base(of.pkg), of.name, reason(output)))
	}
	if r.verbose {
		return
	}
	if of.name != "" {
		if failed {
			_, _ = io.WriteString(r.out, output)
		}
		return
	}
	// A package that ends in a panic or runs out of time leaves tests that never ended.
	for left, printed := range r.output {
		if left.pkg == of.pkg && left.name != "" {
			if failed {
				_, _ = io.WriteString(r.out, printed)
			}
			delete(r.output, left)
		}
	}
	for line := range strings.Lines(output) {
		if line != "PASS\n" {
			_, _ = io.WriteString(r.out, line)
		}
	}
}

// frame is a line that the testing package adds, or the place in the source that it puts before a reason.
var frame = regexp.MustCompile(`(?m)^(=== .*|\s*--- .*)\n|^\s+\S+_test\.go:\d+: `)

// reason is what a skipped test said: its output without what the testing package adds.
func reason(output string) string {
	text := strings.Join(strings.Fields(frame.ReplaceAllString(output, "")), " ")
	if text == "" {
		return "no reason given"
	}
	return text
}
