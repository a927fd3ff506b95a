package main

import "fmt"

// Each table says which figure the project set itself, and whether this run reached it.

func atLeast(value, goal float64) string {
	return verdict(fmt.Sprintf(">= %.2f", goal), value >= goal)
}

// verdict is a goal in words with what came of it.
func verdict(goal string, met bool) string {
	if met {
		return goal + ": met"
	}
	return goal + ": missed"
}
