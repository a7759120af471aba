//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import "syscall"

// writable asks the system whether this user may write a file or folder, without
// doing it.
func writable(path string) error {
	const mayWrite = 2 // W_OK of access(2)
	return syscall.Access(path, mayWrite)
}
