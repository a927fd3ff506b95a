// Command bench measures agentexec beside what it is compared with, in one run on one machine, so that the ratios
// mean something where the absolute numbers do not. Each subcommand prints a table and puts it into RESULTS.md.
//
//	go run . append     append_log against a bare INSERT, a NOTIFY in every transaction, and River
//	go run . latency    commit to frame against a bare LISTEN round trip
//	go run . bulk       append_logs against INSERT ... SELECT and COPY of the same rows
//	go run . storm      the sidecar killed and restarted under load
//	go run . fanout     one activity to many sockets, beside the centrifuge library
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// measure is one subcommand. It returns the tables it made.
type measure struct {
	name, about string
	run         func(ctx context.Context, o options) ([]table, error)
}

var measures = []measure{
	{"append", "append_log against a bare INSERT of the same row, a NOTIFY in every transaction, and River", measureAppend},
	{"latency", "commit to frame against a bare LISTEN round trip", measureLatency},
	{"bulk", "append_logs against INSERT ... SELECT and COPY of the same rows", measureBulk},
	{"storm", "the sidecar killed and restarted under load", measureStorm},
	{"fanout", "one activity to many sockets, beside the centrifuge library fed by LISTEN", measureFanout},
}

// options of all measures.
type options struct {
	rounds  int           // contenders take turns so many times; the median counts
	each    time.Duration // for so long each
	lead    time.Duration // before each turn, for so long without counting
	sockets []int         // numbers of sockets to try
	results string        // the file to keep the tables in; "" for none
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "turns each contender takes; the median counts")
	flag.DurationVar(&o.each, "each", 3*time.Second, "length of one turn")
	flag.StringVar(&o.results, "results", "RESULTS.md", "file to keep the tables in; empty for none")
	sockets := flag.String("sockets", "1000,10000", "numbers of sockets to try")
	flag.Usage = usage
	flag.Parse()
	if flag.Arg(0) == "child" {
		if err := childMain(flag.Args()[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	for text := range strings.SplitSeq(*sockets, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			fmt.Fprintln(os.Stderr, "bench: -sockets wants numbers, such as 1000,10000")
			os.Exit(2)
		}
		o.sockets = append(o.sockets, n)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, args []string) error {
	for _, m := range measures {
		if len(args) == 1 && (args[0] == m.name || args[0] == "all") {
			tables, err := m.run(ctx, o)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			for _, t := range tables {
				fmt.Println(t)
			}
			if o.results != "" {
				if err := keep(o.results, m, o, tables); err != nil {
					return err
				}
			}
			if args[0] != "all" {
				return nil
			}
		}
	}
	if len(args) != 1 || args[0] != "all" {
		usage()
		return fmt.Errorf("want the name of one measure, or all")
	}
	return nil
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: go run . [flags] MEASURE")
	for _, m := range measures {
		fmt.Fprintf(os.Stderr, "  %-8s %s\n", m.name, m.about)
	}
	flag.PrintDefaults()
}
