package imap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/sasl"
)

// signIn uses the best SASL mechanism the server offers, and LOGIN where it
// offers none and does not forbid it (RFC 3501 section 6.2.3, LOGINDISABLED).
func (x *session) signIn(ctx context.Context) error {
	o := x.src.o
	op := x.src.signingIn()
	if err := x.offered(ctx); err != nil {
		return err
	}
	port, _ := strconv.Atoi(o.Server.Port) // 0 is left out
	c := sasl.Credentials{
		Username: o.Username, Password: o.Password, Token: x.token, Certificate: len(x.src.tls.Certificates) > 0, Only: o.Auth,
		Host: o.Server.Host, Port: port,
	}
	record := dial.RecordOf(ctx)
	record.Begin(dial.StepSignIn)
	mechanisms := x.before.AuthMechanisms()
	client, mechanism := sasl.Choose(mechanisms, c, o.Server.Mode != dial.Plain)
	var err error
	switch {
	case client != nil:
		op += " (" + mechanism + ")"
		err = x.exchange(ctx, op, func() error { return x.client.Authenticate(client) })
	case !o.Password.IsZero() && (o.Auth == "" || strings.EqualFold(o.Auth, sasl.Login)) && !x.before.Has(imap.CapLoginDisabled):
		err = x.exchange(ctx, op, func() error { return x.client.Login(o.Username, o.Password.Reveal()).Wait() })
	default:
		return x.noMechanism(op, mechanisms)
	}
	if said, ok := errors.AsType[*imap.Error](err); ok {
		return x.signInError(op, said)
	}
	if err == nil {
		record.Said("signed in as %s by %s", o.Username, cmp.Or(mechanism, "LOGIN"))
	}
	return err
}

// signingIn says what is being done, for errors.
func (s *Source) signingIn() string { return "signing in as " + dial.Printable(s.o.Username) }

// exchange is do for a sign-in: an exchange that ended neither in OK nor in the
// server's refusal leaves the connection in the middle of it.
func (x *session) exchange(ctx context.Context, op string, f func() error) error {
	return x.do(ctx, op, func() error {
		err := f()
		if _, ok := refused(err); err != nil && !ok {
			x.g.fail(violatef("the sign-in did not run as it must: %s", dial.Printable(err.Error())))
		}
		return err
	})
}

// offered learns what the server offers before the sign-in.
func (x *session) offered(ctx context.Context) error {
	return x.do(ctx, "asking for the capabilities", func() error {
		if x.before = x.client.Caps(); x.before == nil {
			return errors.New("the server names no capabilities")
		}
		return nil
	})
}

func (x *session) noMechanism(op string, offered []string) error {
	e := &fetcher.Error{Radius: fetcher.AccountRadius, Cause: fetcher.Refused, Op: op}
	list := "none"
	if len(offered) > 0 {
		list = dial.Printable(strings.Join(offered, ", "))
	}
	e.Err = fmt.Errorf("the server offers no way to sign in that can be used here; it offers %s", list)
	switch {
	case x.src.o.Auth != "":
		e.Hint = "leave auth out, or name one that the server offers"
	case x.src.o.Tokens != nil:
		e.Hint = "the server takes no OAuth 2.0 tokens; use a password"
	case x.src.o.Server.Mode == dial.Plain:
		e.Hint = "the server may want TLS first; leave insecure out"
	default:
		e.Hint = "the provider may demand oauth2, or an app password"
	}
	return e
}
