package fetcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/postferry/postferry/internal/dial"
)

// Radius grades a failure by how far it reaches.
type Radius int

// The radii, from the smallest.
const (
	MessageRadius Radius = iota // skip this mail, say so, go on
	SessionRadius               // give the session up and back off; the default of unmarked errors
	AccountRadius               // stop until a human has changed something
)

// Cause says what kind of failure it was; commands turn it into an exit code.
type Cause int

// The causes.
const (
	Temporary   Cause = iota // the server asks for another time, or unclassified
	Unreachable              // DNS, TCP, deadline
	Untrusted                // TLS: certificate, name, version
	Refused                  // sign-in refused
	Protocol                 // the server said what the protocol does not allow
)

// ErrFinished is in the chain of the error of a call to a session that had ended
// before it.
var ErrFinished = errors.New("the session is finished")

// Error is a failure while taking. Error() reads: what was done, the server's
// own words, and after a dash what the operator can change.
type Error struct {
	Radius Radius
	Cause  Cause
	Op     string // "signing in as ada@example.com", "listing INBOX"
	UID    string // of the mail, for radius Message
	Err    error
	Hint   string // what to change; may be empty
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Op
	if e.UID != "" {
		s += " " + e.UID
	}
	if e.Err != nil {
		// What failed below may have said already what was done.
		s += ": " + strings.TrimPrefix(e.Err.Error(), s+": ")
	}
	if e.Hint != "" {
		s += " — " + e.Hint
	}
	return s
}

// Unwrap gives the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// RadiusOf is the radius of err; unmarked errors reach as far as the session,
// joined errors as far as the worst of them.
func RadiusOf(err error) Radius {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		worst := MessageRadius
		for _, one := range joined.Unwrap() {
			worst = max(worst, RadiusOf(one))
		}
		return worst
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Radius
	}
	return SessionRadius
}

// CauseOf is the cause of err; Temporary where it is not marked.
func CauseOf(err error) Cause {
	var e *Error
	if errors.As(err, &e) {
		return e.Cause
	}
	return Temporary
}

// Errorf makes a session error.
func Errorf(cause Cause, op, hint string, format string, args ...any) *Error {
	return &Error{Radius: SessionRadius, Cause: cause, Op: op, Err: fmt.Errorf(format, args...), Hint: hint}
}

// DialError grades a failure to connect or to secure the connection. Where ctx has
// ended it is that.
func DialError(ctx context.Context, op string, err error) *Error {
	e := &Error{Radius: SessionRadius, Cause: Unreachable, Op: op, Err: err}
	if failed, ok := errors.AsType[*dial.Error](err); ok {
		e.Hint = failed.Hint
	}
	if dial.Untrusted(err) {
		e.Cause = Untrusted
	}
	if ctx.Err() != nil {
		e.Err, e.Hint, e.Cause = context.Cause(ctx), "", Unreachable
	}
	return e
}

// Unheard completes the error of a server that did not greet.
func Unheard(err error, server dial.Server) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Hint == "" && errors.Is(err, os.ErrDeadlineExceeded) {
		e.Hint = server.SilenceHint()
	}
	return err
}
