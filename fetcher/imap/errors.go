package imap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
)

// dialError grades a failure to connect or to secure the connection.
func dialError(op string, err error) error {
	e := &fetcher.Error{Radius: fetcher.SessionRadius, Cause: fetcher.Unreachable, Op: op, Err: err}
	if failed, ok := errors.AsType[*dial.Error](err); ok {
		e.Hint = failed.Hint
	}
	if dial.Untrusted(err) {
		e.Cause = fetcher.Untrusted
	}
	return e
}

// refusedError is a NO or BAD with the server's words (RFC 5530 lists the codes).
func refusedError(op string, refusal *imap.Error) *fetcher.Error {
	cause := fetcher.Temporary
	if refusal.Type == imap.StatusResponseTypeBad {
		cause = fetcher.Protocol
	}
	return &fetcher.Error{Radius: fetcher.SessionRadius, Cause: cause, Op: op, Err: said(refusal)}
}

// refusal is an answer NO or BAD in the server's words, made safe to show.
type refusal struct {
	*imap.Error
	text string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.Error0() }

// Error0 is the refusal itself.
func (r *refusal) Error0() error { return (*imap.Error)(r.asIMAP()) }

func (r *refusal) asIMAP() *imap.Error { return r.imap() }

func said(e *imap.Error) error { return nil }
