// Package demo runs agents that do real work and report it, so that a new user has something to watch.
//
// Each agent takes a part of a directory tree, reads every file of it, hashes it and counts its lines, and tells of it
// as any worker would: through pkg/client, a line at a time, with the percentage of bytes read. A file that cannot be
// read is a real ERROR, and once a retry without it. When it is done it takes another part, until it is stopped.
//
// The way of one activity: parts.go divides the tree, agent.go takes a part and leads it through its states, scan.go
// finds its files, hash.go reads them no faster than pace.go allows, journal.go writes the lines.
//
// May import: pkg/client, nothing else of this module.
package demo
