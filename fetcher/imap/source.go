package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/internal/secret"
)

// Source opens sessions on one account. It is safe for concurrent use.
type Source struct {
	o       Options
	tls     *tls.Config
	connect func(context.Context) (connection, error)
	warned  sync.Map // what has been said once

	concluded concluded
}

var _ fetcher.Source = (*Source)(nil)

// connection is what a *dial.Conn does.
type connection interface {
	net.Conn
	Upgrade(ctx context.Context, config *tls.Config, buffered ...byte) error
	SetReadTimeout(d time.Duration)
}

// Open implements fetcher.Source: it connects, secures the connection and signs
// in.
func (s *Source) Open(ctx context.Context) (fetcher.Session, error) {
	if s.o.Tokens == nil {
		return s.open(ctx, secret.Secret{})
	}
	return fetcher.OpenWithToken(ctx, s.signingIn(), s.o.Tokens, func(token secret.Secret) (fetcher.Session, error) {
		return s.open(ctx, token)
	})
}

// open makes a session with an access token, if there is one.
func (s *Source) open(ctx context.Context, token secret.Secret) (fetcher.Session, error) {
	op := "connecting to " + s.o.Server.Address()
	failpoint.Hit("imap.connect.before")
	conn, err := s.connect(ctx)
	failpoint.Hit("imap.connect.after")
	if err != nil {
		return nil, fetcher.DialError(ctx, op, err)
	}
	if s.o.Server.Mode == dial.Plain {
		s.o.Logger.Warn("connection is not encrypted", "server", s.o.Server.Address())
	}
	greeting := ""
	if s.o.Server.Mode == dial.StartTLS {
		if err := s.startTLS(ctx, conn, dial.NewHider(s.o.Password, token)); err != nil {
			conn.Close()
			return nil, err
		}
		// imapclient is given a greeting without capabilities, so that it asks
		// for them again: those sent in clear text are not to be believed (RFC
		// 3501 section 6.2.1).
		greeting = "* OK secured\r\n"
	}
	conn.SetReadTimeout(0) // a signed-in session may wait; watch bounds silence
	x := newSession(s, conn, greeting, token)
	if err := x.begin(ctx, op); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

// begin reads the greeting and signs in.
func (x *session) begin(ctx context.Context, op string) error {
	record := dial.RecordOf(ctx)
	if x.src.o.Server.Mode != dial.StartTLS {
		record.Begin(dial.StepGreeting)
	}
	err := x.do(ctx, op, func() error { return x.client.WaitGreeting() })
	if err != nil {
		return fetcher.Unheard(err, x.src.o.Server)
	}
	failpoint.Hit("imap.greeting.after")
	if x.client.State() == imap.ConnStateAuthenticated { // PREAUTH, RFC 3501 section 7.1.4
		record.Begin(dial.StepSignIn)
		record.Said("the server counts the connection as signed in (PREAUTH)")
	} else if err := x.signIn(ctx); err != nil {
		return err
	}
	failpoint.Hit("imap.signin.after")
	record.Begin(dial.StepCapabilities)
	if err := x.readCapabilities(ctx); err != nil {
		return err
	}
	if err := x.introduce(ctx); err != nil {
		return err
	}
	record.Offers(x.offers())
	x.g.settled.Store(true)
	x.before = nil
	return nil
}

// readCapabilities learns what the server offers to this user (RFC 3501 section
// 7.2.1: the list may change with signing in).
func (x *session) readCapabilities(ctx context.Context) error {
	return x.do(ctx, "asking for the capabilities", func() error {
		if fresh := x.client.Caps(); fresh != nil && !sameMap(fresh, x.before) {
			x.caps = fresh // they came with the answer to the sign-in
			return nil
		}
		var err error
		if x.caps, err = x.client.Capability().Wait(); err != nil {
			return err
		}
		if known := x.client.Caps(); known != nil {
			x.caps = known // the same in one place
		}
		return nil
	})
}

// offers are the names of the capabilities, sorted.
func (x *session) offers() []string {
	var names []string
	for c := range x.caps {
		names = append(names, string(c))
	}
	slices.Sort(names)
	return names
}

// introduce says who this is (RFC 2971). Some servers (163.com) open no box
// before. What they answer does not matter.
func (x *session) introduce(ctx context.Context) error {
	if !x.caps.Has(imap.CapID) {
		return nil
	}
	err := x.do(ctx, "sending ID", func() error {
		_, err := x.client.ID(&imap.IDData{Name: "postferry"}).Wait()
		return err
	})
	if _, refused := errors.AsType[*imap.Error](err); refused {
		return nil
	}
	return err
}

// warn says a fact about the server once in the life of the source.
func (s *Source) warn(fact string, args ...any) {
	if _, said := s.warned.LoadOrStore(fact, true); !said {
		s.o.Logger.Warn(fact, args...)
	}
}

// listen makes the imapclient over the guard, with the session's ears.
func (x *session) listen() *imapclient.Client {
	x.g.onStatus = x.heard
	x.g.onExists = x.counted
	x.g.onExpunge = x.expunged
	return imapclient.New(x.g, nil)
}

// heard keeps what imapclient forgets: the server's last words, and alerts,
// which must be shown (RFC 3501 section 7.1).
func (x *session) heard(text string) {
	kind, rest, _ := strings.Cut(text, " ")
	if strings.EqualFold(kind, "BYE") {
		x.bye.Store(&rest)
	}
	if said, ok := cutFold(rest, "[UIDVALIDITY "); ok {
		number, _, _ := strings.Cut(said, "]")
		if n, err := strconv.ParseUint(number, 10, 32); err == nil {
			x.validity.Store(int64(n))
		}
	}
	if alert, ok := cutFold(rest, "[ALERT]"); ok {
		x.src.o.Logger.Warn("server alert", "server", x.src.o.Server.Address(), "alert", x.show(strings.TrimSpace(alert)))
	}
}

func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// notify makes a channel of one ready, if it is not.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
