package mailtest

import "syscall"

// ownGroup starts a child in a process group of its own, so that it can be
// ended with everything it started, and ends it when the test process dies
// without its cleanup (a timeout, a panic, SIGKILL).
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
