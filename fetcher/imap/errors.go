package imap

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
)

const (
	signInHint   = "check username and password, and that the provider allows IMAP for this account"
	protocolHint = "check that server names an IMAP server; if it does, its operator must be asked"
)

// connectionError is the error of a session that is over. What ended it is what
// the guard saw first; err is what imapclient made of it, and counts only where
// imapclient itself gave up on what the server said. It may have done that before
// this exchange began: then err is nil, and imapclient is asked.
func (x *session) connectionError(op string, err error) error {
	cause := x.g.failure()
	x.g.Close()
	x.over = true
	e := &fetcher.Error{Radius: fetcher.SessionRadius, Cause: fetcher.Unreachable, Op: op, Err: cause}
	closed := cause == nil || errors.Is(cause, net.ErrClosed)
	if closed && err == nil {
		err = x.client.Close()
	}
	bye := x.bye.Load()
	switch {
	case isViolation(cause):
		e.Cause, e.Hint, e.Err = fetcher.Protocol, protocolHint, x.hider().Error(cause)
	case bye != nil && (closed || errors.Is(cause, io.EOF) || errors.Is(cause, io.ErrUnexpectedEOF)):
		e.Cause, e.Err = fetcher.Temporary, &refusal{text: "BYE " + x.show(*bye)}
	case closed && err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed):
		e.Cause, e.Hint = fetcher.Protocol, protocolHint
		e.Err = fmt.Errorf("the server broke the protocol: %s", x.show(err.Error()))
	case closed:
		e.Err = fetcher.ErrFinished
	case errors.Is(cause, io.EOF), errors.Is(cause, io.ErrUnexpectedEOF):
		e.Err = fmt.Errorf("the server closed the connection: %w", io.ErrUnexpectedEOF)
	default:
		if failed, ok := errors.AsType[*dial.Error](cause); ok {
			e.Hint = failed.Hint
		}
	}
	return e
}

// hider finds the credentials in what a server repeats of them. It is made when it is
// wanted: a session that waits for days has no use for one.
func (x *session) hider() *dial.Hider { return dial.NewHider(x.src.o.Password, x.token) }

// show is a text of the server's, without credentials and harmless to show.
func (x *session) show(text string) string { return dial.Printable(x.hider().Clean(text)) }

func isViolation(err error) bool {
	_, is := errors.AsType[*violation](err)
	return is
}

// refusal is what the server said against a command, made safe to show.
type refusal struct {
	text string
	said *imap.Error // nil for BYE
}

func (r *refusal) Error() string { return r.text }

func (r *refusal) Unwrap() error {
	if r.said == nil {
		return nil
	}
	return r.said
}

// refused reports whether err is a NO or BAD, and its code (RFC 5530).
func refused(err error) (code imap.ResponseCode, ok bool) {
	said, ok := errors.AsType[*imap.Error](err)
	if !ok {
		return "", false
	}
	return imap.ResponseCode(strings.ToUpper(string(said.Code))), true
}

// words are the server's, with the code as it stood on the wire, safe to show.
func (x *session) words(said *imap.Error) string {
	text := string(said.Type)
	if said.Code != "" {
		text += " [" + string(said.Code) + "]"
	}
	if said.Text != "" {
		text += " " + said.Text
	}
	return x.show(text)
}

// refusedError is a NO, BAD or BYE with the server's words.
func (x *session) refusedError(op string, said *imap.Error) *fetcher.Error {
	code, _ := refused(said)
	e := &fetcher.Error{Radius: fetcher.SessionRadius, Cause: fetcher.Temporary, Op: op, Err: &refusal{x.words(said), said}}
	e.Radius, e.Hint = grade(code)
	if said.Type == imap.StatusResponseTypeBad {
		e.Cause = fetcher.Protocol
	}
	return e
}

// grade says what a response code means (RFC 5530 section 3) outside the sign-in.
func grade(code imap.ResponseCode) (radius fetcher.Radius, hint string) {
	switch code {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeServerBug:
		return fetcher.SessionRadius, "the server has trouble of its own; it is tried again"
	case imap.ResponseCodeInUse:
		return fetcher.SessionRadius, "another client has this mailbox open; end it, or wait"
	case imap.ResponseCodeLimit:
		return fetcher.SessionRadius, "the server allows no more for now; poll less often, or end other clients"
	case imap.ResponseCodeNoPerm:
		return fetcher.SessionRadius, "the account lacks the right to do that; have it granted, or change folders or after"
	case imap.ResponseCodeOverQuota:
		return fetcher.SessionRadius, "the account has no room left; make some, or change after"
	case imap.ResponseCodeContactAdmin, imap.ResponseCodeCorruption:
		return fetcher.AccountRadius, "the server says that this needs its operator"
	}
	return fetcher.SessionRadius, ""
}

// signInError grades a refused sign-in. Without a code that says otherwise the
// credentials were refused, and trying again soon gets accounts locked.
func (x *session) signInError(op string, said *imap.Error) error {
	text, host := x.words(said), x.src.o.Server.Host
	e := &fetcher.Error{Radius: fetcher.AccountRadius, Cause: fetcher.Refused, Op: op, Hint: signInHint}
	code, _ := refused(said)
	switch code {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeServerBug, imap.ResponseCodeInUse, imap.ResponseCodeLimit:
		e.Radius, e.Cause = fetcher.SessionRadius, fetcher.Temporary
		_, e.Hint = grade(code)
	case imap.ResponseCodeContactAdmin:
		e.Cause = fetcher.Temporary
		_, e.Hint = grade(code)
	case imap.ResponseCodeExpired:
		e.Hint = "the password has expired; set a new one there and here"
	case imap.ResponseCodeAuthorizationFailed:
		e.Hint = "the name and password are right, but may not be used for this mailbox"
	case imap.ResponseCodePrivacyRequired:
		e.Hint = "the server wants TLS; use imaps:// or leave insecure out"
	}
	if e.Cause == fetcher.Refused && e.Hint == signInHint {
		e.Hint = cmp.Or(fetcher.SignInHint(host, text), signInHint)
		if !x.token.IsZero() {
			e.Hint = fetcher.TokenHint(host, text)
		}
	}
	if said.Type == imap.StatusResponseTypeBye {
		e.Radius, e.Cause, e.Hint = fetcher.SessionRadius, fetcher.Temporary, ""
	}
	e.Err = &refusal{text: text} // not said itself, which may hold the secret
	return e
}

// messageError concerns one mail.
func messageError(op, uid string, hint, format string, args ...any) *fetcher.Error {
	return &fetcher.Error{Radius: fetcher.MessageRadius, Op: op, UID: uid, Err: fmt.Errorf(format, args...), Hint: hint}
}
