// Package devpg runs a private Postgres from binaries already on the machine, or from downloaded ones: the database of
// "agentexec dev" and of the tests.
//
// The server belongs to the process that started it. It listens only on 127.0.0.1, requires a random password, and stops when
// that process ends for any reason, SIGKILL included (see supervise.sh). Its data stays between runs unless Options.Temporary
// or Options.Fresh is set.
//
// The steps of a start: Find chooses the binaries (find.go, download.go), account.go the user they run as, datadir.go makes or
// checks the data folder, supervise.go runs postgres on it, server.go waits until it answers.
//
// May import: pgx and embedded-postgres, nothing of this module.
package devpg
