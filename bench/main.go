// Command bench measures agentexec beside what it is compared with, in one run on one machine, so that the ratios
// mean something where the absolute numbers do not. Each subcommand prints its tables and puts them into RESULTS.md.
//
//	go run . append     append_log against a bare INSERT, a NOTIFY in every transaction, and River
//	go run . bulk       append_logs against INSERT ... SELECT and COPY of the same rows
//	go run . latency    commit to frame against a bare LISTEN round trip
//	go run . fanout     one activity to many sockets, beside the centrifuge library
//	go run . spread     many activities, one socket each
//	go run . storm      the sidecar killed and restarted under load
//	go run . slow       sockets that take nothing, beside healthy ones
//	go run . list       pages of many activities, beside the Python library's list
//	go run . stats      stats of ranges, and lists by every sort, of many activities
//	go run . tree       a thousand activities that write, without a parent and below one root
//	go run . stale      running activities with heartbeats, and those that become stale
//	go run . refuse     sockets with tokens, beside attempts to connect with invalid ones
//	go run . heartbeat  heartbeat against append_log
//	go run . cancel     a request to cancel until the end of a worker's context
//	go run . runwriter  the lines of a worker whose connections are killed
//	go run . children   lines of children, and a page of roots with many children
//	go run . ask        an answer until the worker that asks has it
//	go run . prune      lines appended while old ones are pruned, and the size of the tables
//	go run . all        all of them, in about 20 minutes
package main

import (
	"context"
	"errors"
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
	{"bulk", "append_logs against INSERT ... SELECT and COPY of the same rows", measureBulk},
	{"latency", "commit to frame against a bare LISTEN round trip", measureLatency},
	{"fanout", "one activity to many sockets, beside the centrifuge library fed by LISTEN", measureFanout},
	{"spread", "many activities, one socket each", measureSpread},
	{"storm", "the sidecar killed and restarted under load", measureStorm},
	{"slow", "sockets that take nothing, beside healthy ones", measureSlow},
	{"list", "pages of many activities, beside the Python library's own list query on the same rows", measureList},
	{"stats", "stats of ranges against count_by_status, lists by every sort, and what their indexes cost", measureStats},
	{"tree", "a thousand activities that write, without a parent and below one root, while a live list is watched", measureTree},
	{"stale", "running activities with heartbeats while a list is watched, and those that become stale", measureStale},
	{"refuse", "sockets with tokens, with and without attempts to connect with invalid ones", measureRefuse},
	{"heartbeat", "heartbeat against append_log", measureHeartbeat},
	{"cancel", "a request to cancel until the end of a worker's context", measureCancel},
	{"runwriter", "the lines of a worker whose connections are killed", measureRunWriter},
	{"children", "lines of children against those without a parent, and a page of roots with many children", measureChildren},
	{"ask", "an answer until the worker that asks has it", measureAsk},
	{"prune", "lines appended while old ones are pruned, and the size of the tables with retention", measurePrune},
}

// options of all measures.
type options struct {
	rounds      int           // contenders take turns so many times; the median counts
	each        time.Duration // for so long each
	lead        time.Duration // before each turn, for so long without counting
	writers     numbers       // of writers to append with
	sockets     numbers       // of sockets to fan out to
	manySockets int           // sockets of spread and storm
	rates       numbers       // lines per second of latency
	sleepers    int           // sockets that take nothing
	flood       int           // MB of lines for each socket that takes nothing
	activities  int           // to list
	treeRate    int           // lines per second of tree
	trusted     int           // sockets that may connect, of refuse
	attempts    int           // attempts to connect that are refused, a minute
	flat        time.Duration // for so long activities are written and pruned at the same rate
	results     string        // the file to keep the tables in; "" for none
	command     string        // how to run it again
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		if err := childMain(os.Args[2:]); err != nil {
			fail(err, 1)
		}
		return
	}
	o, names, err := parse(flag.CommandLine, os.Args[1:])
	if err != nil {
		fail(err, 2)
	}
	raiseFileLimit()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o, names)
	stop()
	if err != nil {
		fail(err, 1)
	}
}

func fail(err error, code int) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(code)
}

// parse reads the flags, and the names of the measures to run.
func parse(flags *flag.FlagSet, args []string) (o options, names []string, err error) {
	flags.Usage = func() { usage(flags) }
	flags.IntVar(&o.rounds, "rounds", 5, "turns each contender takes; the median counts")
	flags.DurationVar(&o.each, "each", 1500*time.Millisecond, "length of one turn")
	flags.IntVar(&o.manySockets, "many-sockets", 5000, "sockets of spread and storm")
	flags.IntVar(&o.sleepers, "sleepers", 50, "sockets that take nothing")
	flags.IntVar(&o.flood, "flood", 30, "MB of lines for each socket that takes nothing")
	flags.IntVar(&o.activities, "activities", 1_000_000, "activities to list, each with ten lines")
	flags.IntVar(&o.treeRate, "tree-rate", 5000, "lines per second of tree, of all writers together")
	flags.IntVar(&o.trusted, "trusted", 1000, "sockets that may connect, of refuse")
	flags.IntVar(&o.attempts, "attempts", 10_000, "attempts to connect with an invalid token, a minute")
	flags.DurationVar(&o.flat, "flat", time.Minute, "for how long activities are written and pruned at the same rate")
	flags.StringVar(&o.results, "results", "RESULTS.md", "file to keep the tables in; empty for none")
	o.writers, o.sockets, o.rates = numbers{1, 4, 8, 32}, numbers{1000, 10000}, numbers{10, 100, 1000, 2000, 5000}
	flags.Var(&o.writers, "writers", "numbers of writers to append with")
	flags.Var(&o.sockets, "sockets", "numbers of sockets to fan out to")
	flags.Var(&o.rates, "rates", "lines per second of latency")
	if err := flags.Parse(args); err != nil {
		return o, nil, err
	}
	o.command = fmt.Sprintf("go run . -rounds %d -each %s", o.rounds, o.each)
	flags.Visit(func(f *flag.Flag) {
		if f.Name != "rounds" && f.Name != "each" && f.Name != "results" {
			o.command += fmt.Sprintf(" -%s %s", f.Name, f.Value)
		}
	})
	return o, flags.Args(), nil
}

// numbers is a flag such as 1000,10000.
type numbers []int

func (n *numbers) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]int(*n)), " ", ","), "[]")
}

func (n *numbers) Set(text string) error {
	*n = nil
	for part := range strings.SplitSeq(text, ",") {
		i, err := strconv.Atoi(part)
		if err != nil || i < 1 {
			return errors.New("want numbers, such as 1000,10000")
		}
		*n = append(*n, i)
	}
	return nil
}

func run(ctx context.Context, o options, names []string) error {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	for _, m := range chosen {
		began := time.Now()
		tables, err := m.run(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		for _, t := range tables {
			fmt.Println(t)
		}
		fmt.Printf("%s took %s\n\n", m.name, time.Since(began).Round(time.Second))
		if o.results == "" {
			continue
		}
		if err := keep(o.results, m, o, tables); err != nil {
			return err
		}
	}
	return nil
}

// choose finds the measures by their names.
func choose(names []string) ([]measure, error) {
	if len(names) == 1 && names[0] == "all" {
		return measures, nil
	}
	var chosen []measure
	for _, name := range names {
		for _, m := range measures {
			if m.name == name {
				chosen = append(chosen, m)
			}
		}
	}
	if len(names) == 0 || len(chosen) != len(names) {
		usage(flag.CommandLine)
		return nil, errors.New("want the names of measures, or all")
	}
	return chosen, nil
}

func usage(flags *flag.FlagSet) {
	fmt.Fprintln(os.Stderr, "usage: go run . [flags] MEASURE...")
	for _, m := range measures {
		fmt.Fprintf(os.Stderr, "  %-9s %s\n", m.name, m.about)
	}
	flags.PrintDefaults()
}
