package pop3

import (
	"context"
	"crypto/md5" // RFC 1939 section 7 defines APOP on it
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/sasl"
	"github.com/postferry/postferry/internal/secret"
)

// The ways to sign in that are no SASL mechanisms.
const (
	apop = "APOP"
	user = "USER"
)

// signingIn says what is being done, for errors.
func (s *Source) signingIn() string {
	if s.o.Username == "" {
		return "signing in by certificate"
	}
	return "signing in as " + printable(s.o.Username)
}

// signIn uses the best SASL mechanism the server offers (RFC 5034). On a
// connection in clear text APOP goes before what shows the password; USER and PASS
// (RFC 1939 section 7) serve where there is nothing else.
func (x *session) signIn(ctx context.Context, token secret.Secret) error {
	o := x.src.o
	port, _ := strconv.Atoi(o.Server.Port) // 0 is left out
	c := sasl.Credentials{
		Username: o.Username, Password: o.Password, Token: token, Certificate: len(x.src.tls.Certificates) > 0, Only: o.Auth,
		Host: o.Server.Host, Port: port,
	}
	op := x.src.signingIn()
	record := dial.RecordOf(ctx)
	record.Begin(dial.StepSignIn)
	way := x.way(c)
	var err error
	switch way {
	case "":
		return x.noWay(op)
	case apop:
		err = x.apop(ctx, op)
	case user:
		err = x.userPass(ctx, op)
	default:
		op += " (" + way + ")"
		err = x.authenticate(ctx, op, c.Client(way))
	}
	if refused, ok := errors.AsType[*refusal](err); ok {
		err = signInError(op, o.Server.Host, refused, !token.IsZero())
		if soon, ok := errors.AsType[*fetcher.TooSoonError](err); ok {
			soon.Pause = x.Pause()
		}
		return err
	}
	if err == nil {
		record.Said("signed in as %s by %s", o.Username, way)
	}
	return err
}

// way chooses how to sign in; "" if there is none.
func (x *session) way(c sasl.Credentials) string {
	encrypted := x.src.o.Server.Mode != dial.Plain
	password := c.Token.IsZero() && !c.Password.IsZero()
	wants := func(w string) bool { return c.Only == "" || strings.EqualFold(c.Only, w) }
	_, challenged := timestamp(x.greeting)
	offered := x.offers.tags["SASL"]
	if !x.offers.named {
		offered = []string{c.Only} // what is wanted is tried
	}
	_, mechanism := sasl.Choose(offered, c, encrypted)
	hidden := password && challenged && wants(apop)
	switch {
	case strings.EqualFold(mechanism, sasl.CramMD5):
		return mechanism
	case hidden && (!encrypted || mechanism == "" && x.offers.named && !x.offers.has(user)):
		return apop
	case mechanism != "":
		return mechanism
	case hidden && c.Only != "":
		return apop
	case password && wants(user):
		return user
	}
	return ""
}

func (x *session) noWay(op string) error {
	offered := x.offers.tags["SASL"]
	list := "none"
	if len(offered) > 0 {
		list = printable(strings.Join(offered, ", "))
	}
	e := &fetcher.Error{Radius: fetcher.AccountRadius, Cause: fetcher.Refused, Op: op}
	e.Err = fmt.Errorf("the server offers no way to sign in that can be used here; its SASL mechanisms are %s", list)
	switch {
	case strings.EqualFold(x.src.o.Auth, apop):
		e.Hint = "the greeting has no timestamp, so there is no APOP; leave auth out"
	case x.src.o.Auth != "":
		e.Hint = "leave auth out, or name one that the server offers"
	case x.src.o.Tokens != nil:
		e.Hint = "the server takes no OAuth 2.0 tokens; use a password"
	default:
		e.Hint = "the server takes no client certificates (EXTERNAL); use a password"
	}
	return e
}

// userPass sends USER and PASS.
func (x *session) userPass(ctx context.Context, op string) error {
	err := x.do(ctx, op, func() error {
		x.g.expect(nil, 0)
		return x.client.User(x.src.o.Username)
	})
	if err != nil {
		return err
	}
	return x.do(ctx, op, func() error {
		x.g.expect(nil, 0)
		return x.client.Pass(x.src.o.Password.Reveal())
	})
}

// apop sends the digest of the greeting's timestamp and the password (RFC 1939
// section 7).
func (x *session) apop(ctx context.Context, op string) error {
	stamp, _ := timestamp(x.greeting)
	sum := md5.Sum([]byte(stamp + x.src.o.Password.Reveal()))
	return x.do(ctx, op, func() error {
		x.g.expect(nil, 0)
		_, err := x.client.Cmd(apop, false, x.src.o.Username, hex.EncodeToString(sum[:]))
		return err
	})
}

// timestamp finds the msg-id in a greeting. One that no msg-id can look like is not
// digested: servers in the middle have used such to learn passwords octet by octet
// (CVE-2007-1558).
func timestamp(greeting string) (stamp string, ok bool) {
	_, rest, found := strings.Cut(greeting, "<")
	inner, _, closed := strings.Cut(rest, ">")
	if !found || !closed {
		return "", false
	}
	left, right, at := strings.Cut(inner, "@")
	plain := func(s string) bool {
		return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '@' })
	}
	if !at || !plain(left) || !plain(right) {
		return "", false
	}
	return "<" + inner + ">", true
}
