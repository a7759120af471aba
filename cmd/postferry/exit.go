package main

import (
	"errors"

	"github.com/postferry/postferry/fetcher"
)

// Exit codes; those from 64 on are sysexits'.
const (
	exitOK          = 0
	exitUnexpected  = 1
	exitDead        = 3 // ran, some mail is dead
	exitUsage       = 64
	exitData        = 65
	exitUnavailable = 69
	exitTemporary   = 75 // temporary, or some mail deferred
	exitProtocol    = 76
	exitRefused     = 77 // sign-in refused
	exitConfig      = 78
)

// exitError is an error that decides the exit code.
type exitError struct {
	code  int
	err   error
	quiet bool // already said
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usageError(err error) error  { return &exitError{code: exitUsage, err: err} }
func configError(err error) error { return &exitError{code: exitConfig, err: err} }

// exitCode is the code for what a command returned.
func exitCode(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	}
	return exitUnexpected
}

// causeCode is the code for a failed visit to a mailbox.
func causeCode(err error) int {
	switch fetcher.CauseOf(err) {
	case fetcher.Refused:
		return exitRefused
	case fetcher.Unreachable, fetcher.Untrusted:
		return exitUnavailable
	case fetcher.Protocol:
		return exitProtocol
	}
	return exitTemporary
}

// worse is of two codes the one that a run with both exits with: the first in
// the order 78, 77, 69, 3, 75; protocol errors stand beside 69.
func worse(a, b int) int {
	for _, code := range []int{exitConfig, exitRefused, exitUnavailable, exitProtocol, exitDead, exitTemporary} {
		if a == code || b == code {
			return code
		}
	}
	return max(a, b)
}
