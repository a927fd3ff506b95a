// Package demo runs agents that do real work and report it, so that a new user can watch activities.
//
// Each agent takes a part of a directory tree, reads every file of it, hashes it and counts its lines. It reports that as any
// worker would: in [client.Client.Run], with the percentage of bytes read. A request to cancel ends it soon. A file that cannot be
// read causes a real ERROR, and then a retry without it. Then the agent takes another part, until it is stopped.
//
// The activities form trees: a coordinator has a round of parts as its children. Now and then a coordinator asks a person a question
// about the rounds to come. The agents go on meanwhile, and an unanswered question expires.
//
// One more agent goes wrong on purpose, so that a new user sees what that looks like: an activity that fails after a retry, and one
// whose worker falls silent.
//
// coordinator.go has the rounds, wishes.go the questions and what their answers change, trouble.go the activities that go wrong. The
// steps of one activity: parts.go divides the tree, agent.go takes a part and runs the activity, scan.go finds its files, hash.go
// reads them no faster than pace.go allows, reading.go writes the lines.
//
// May import: pkg/client, nothing else of this module.
package demo
