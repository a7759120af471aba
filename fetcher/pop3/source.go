package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/knadh/go-pop3"

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
	endless sync.Map // UIDs of mails that turned out larger than MaxOctets
	memory  memory
	unique  atomic.Bool // UIDL was answered
	once    sync.Once   // what is said once in the life of the source
}

var _ fetcher.Source = (*Source)(nil)

// connection is what a *dial.Conn does.
type connection interface {
	net.Conn
	Upgrade(ctx context.Context, config *tls.Config, buffered ...byte) error
	SetReadTimeout(d time.Duration)
}

const secureHint = "use pop3s:// if the server offers it; insecure: true gives up encryption"

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
	failpoint.Hit("pop3.connect.before")
	conn, err := s.connect(ctx)
	failpoint.Hit("pop3.connect.after")
	if err != nil {
		return nil, fetcher.DialError(ctx, op, err)
	}
	if s.o.Server.Mode == dial.Plain {
		s.o.Logger.Warn("connection is not encrypted", "server", s.o.Server.Address())
	}
	x := &session{src: s, g: newGuard(conn, dial.NewHider(s.o.Password, token))}
	if err := x.begin(ctx, op, token); err != nil {
		x.broken = true
		x.Close()
		return nil, err
	}
	return x, nil
}

// begin greets, secures and signs in.
func (x *session) begin(ctx context.Context, op string, token secret.Secret) error {
	if x.src.o.Server.Mode == dial.StartTLS {
		if err := x.startTLS(ctx); err != nil {
			return err
		}
	} else {
		dial.RecordOf(ctx).Begin(dial.StepGreeting)
		x.g.heard = &x.greeting
	}
	err := x.do(ctx, op, func() (err error) {
		x.client, err = pop3.New(pop3.Opt{Dialer: dialer{x.g}}).NewConn()
		return err
	})
	if err != nil {
		return fetcher.Unheard(err, x.src.o.Server)
	}
	failpoint.Hit("pop3.greeting.after")
	if err := x.capabilities(ctx); err != nil {
		return err
	}
	if err := x.signIn(ctx, token); err != nil {
		return err
	}
	failpoint.Hit("pop3.signin.after")
	return x.userCapabilities(ctx)
}

// startTLS reads the greeting and upgrades (RFC 2595 section 4). What the server
// said in clear text is forgotten; the library is given a greeting of ours.
func (x *session) startTLS(ctx context.Context) error {
	op := "securing the connection to " + x.src.o.Server.Address()
	record := dial.RecordOf(ctx)
	record.Begin(dial.StepGreeting)
	greet := func() error {
		x.g.heard = &x.greeting
		return x.g.reply()
	}
	if err := x.do(ctx, op, greet); err != nil {
		return fetcher.Unheard(err, x.src.o.Server)
	}
	record.Begin(dial.StepTLS)
	err := x.do(ctx, op, func() error {
		x.g.expect(nil, 0)
		if x.g.err != nil {
			return x.g.err
		}
		if _, err := x.g.Write([]byte("STLS\r\n")); err != nil {
			return err
		}
		return x.g.reply()
	})
	if refused, ok := errors.AsType[*refusal](err); ok {
		return fetcher.Errorf(fetcher.Untrusted, op, secureHint, "the server refuses STLS: %w", refused)
	}
	if err != nil {
		return err
	}
	injected, _ := x.g.r.Peek(x.g.r.Buffered())
	if err := x.g.Upgrade(ctx, x.src.tls, injected...); err != nil {
		return fetcher.DialError(ctx, op, err)
	}
	x.g.pending = []byte("+OK " + x.greeting + "\r\n")
	return nil
}

// number reads the decimal digits of a message number, count or size.
func number(s string) (int64, bool) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
