package main

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestMain lets the test binary be a child, as the program can.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		if err := childMain(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestMeasures runs each measure as briefly as it can, so that they cannot rot. It judges no figure.
func TestMeasures(t *testing.T) {
	o := options{rounds: 1, each: 100 * time.Millisecond, writers: numbers{1, 4}, sockets: numbers{20}, manySockets: 20,
		rates: numbers{10, 1000}, sleepers: 5, flood: 1, activities: 2000, treeRate: 1000, trusted: 20, attempts: 2000}
	for _, m := range measures {
		t.Run(m.name, func(t *testing.T) {
			o := o
			if m.name == "list" || m.name == "prune" {
				o.activities = 10_000 // one pages through a hundredth of them, the other must not be done at once
			}
			tables, err := m.run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, table := range tables {
				if len(table.rows) == 0 {
					t.Errorf("%s: no rows", table.title)
				}
				t.Log("\n" + table.String())
			}
		})
	}
}
