package main

import "syscall"

// raiseFileLimit allows as many open files as ten thousand sockets need, as far as we may.
func raiseFileLimit() {
	const want = 65536
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil || l.Cur >= want {
		return
	}
	if l.Max < want { // root may raise this one, too
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: want, Max: want}) == nil {
			return
		}
	}
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: min(want, l.Max), Max: l.Max})
}
