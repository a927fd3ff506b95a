//go:build race

package sidecar_test

// raceEnabled: everything takes several times as long.
const raceEnabled = true
