package pop3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/postferry/postferry/fetcher"
)

// connError grades what ended a session.
func connError(ctx context.Context, op string, err error) error {
	e := fetcher.DialError(ctx, op, err)
	if _, ok := errors.AsType[*violation](err); ok && ctx.Err() == nil {
		e.Cause = fetcher.Protocol
		e.Hint = "check that server names a POP3 server; if it does, its operator must be asked"
	}
	if hungUp(err) && ctx.Err() == nil {
		e.Err = fmt.Errorf("the server closed the connection: %w", err)
	}
	return e
}

// codeOf is the extended response code of an -ERR (RFC 2449 section 8), in upper
// case and without brackets, or "".
func codeOf(text string) string {
	if !strings.HasPrefix(text, "[") {
		return ""
	}
	code, _, found := strings.Cut(text[1:], "]")
	if !found {
		return ""
	}
	return strings.ToUpper(code)
}

// grade says what a response code means: RFC 2449 section 8.1 and RFC 3206.
func grade(code string) (radius fetcher.Radius, cause fetcher.Cause, hint string) {
	switch {
	case code == "IN-USE":
		return fetcher.SessionRadius, fetcher.Temporary, "another client has this mailbox open; end it, or wait"
	case code == "LOGIN-DELAY":
		return fetcher.SessionRadius, fetcher.Temporary, "the server wants more time between sign-ins, and gets it; where nothing changes that, poll less often"
	case code == "AUTH":
		return fetcher.AccountRadius, fetcher.Refused, "check username and password, and that the provider allows POP3 for this account"
	case code == "SYS/PERM" || strings.HasPrefix(code, "SYS/PERM/"):
		return fetcher.AccountRadius, fetcher.Temporary, "the server says that this needs its operator"
	case code == "SYS/TEMP" || strings.HasPrefix(code, "SYS/TEMP/"):
		return fetcher.SessionRadius, fetcher.Temporary, "the server has trouble of its own; it is tried again"
	}
	return fetcher.SessionRadius, fetcher.Temporary, ""
}

// replyError is an -ERR that ends the session. AUTH in its middle says that what was
// signed in with has ended, as access tokens do.
func replyError(op string, refused *refusal) error {
	radius, cause, hint := grade(refused.code)
	if cause == fetcher.Refused {
		radius, cause, hint = fetcher.SessionRadius, fetcher.Temporary, "the sign-in has lapsed; the mailbox is signed in to again"
	}
	return &fetcher.Error{Radius: radius, Cause: cause, Op: op, Err: saidBy(refused), Hint: hint}
}

// saidBy marks a refusal that comes from signing in too often.
func saidBy(refused *refusal) error {
	if refused.code == "LOGIN-DELAY" {
		return &fetcher.TooSoonError{Err: refused}
	}
	return refused
}

// signInError is an -ERR to a sign-in. Without a code that says otherwise the
// credentials were refused (RFC 3206 section 4: only AUTH says so for certain, but
// few servers send it), and trying again soon gets accounts locked. byToken says that
// it was by access token.
func signInError(op, host string, refused *refusal, byToken bool) error {
	radius, cause, hint := grade(refused.code)
	if hint == "" {
		radius, cause, hint = grade("AUTH")
	}
	if cause == fetcher.Refused {
		hint = cmp.Or(fetcher.SignInHint(host, refused.text), hint)
		if byToken {
			hint = fetcher.TokenHint(host, refused.text)
		}
	}
	return &fetcher.Error{Radius: radius, Cause: cause, Op: op, Err: saidBy(refused), Hint: hint}
}

// messageError is an -ERR that concerns one mail, unless its code says that the
// server cannot go on.
func messageError(op, uid string, refused *refusal) error {
	e := replyError(op, refused).(*fetcher.Error)
	if refused.code == "" || e.Hint == "" {
		e.Radius = fetcher.MessageRadius
	}
	e.UID = uid
	return e
}
