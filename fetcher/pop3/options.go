// Package pop3 takes mail from POP3 servers (RFC 1939).
//
// A session runs like this: connect, secure, greeting, CAPA (RFC 2449), sign in,
// then STAT, LIST and UIDL for a listing, RETR for the mails, and DELE and QUIT to
// settle. The commands of the session are issued by knadh/go-pop3. What that
// library does not do is done here:
//
//   - STLS (RFC 2595 section 4) comes before the library sees the connection. It
//     is required: a server that refuses it is not signed in to.
//   - SASL by AUTH (RFC 5034) is spoken here, and APOP from the greeting's timestamp.
//   - RETR is read by a body, which streams, keeps every octet, and ends at
//     CRLF "." CRLF alone. With PIPELINING (RFC 2449 section 6.6) a window of them,
//     or of DELE, is under way at a time.
//   - Every line the library reads passes a guard, which hands over one checked
//     line at a time. Whatever the protocol does not allow ends the session.
//
// Unique-ids (RFC 1939 section 7) name mails to the rest of the program; message
// numbers hold for one session and never leave this package. Those that the RFC does
// not allow are hashed; where the server has none, or gives one to several mails,
// hashes of the headers stand for them (TOP), see name.go.
//
// The server deletes at QUIT and not before (RFC 1939 section 6), so Settle is
// done only when the reply to QUIT is there. A session that has retrieved
// anything is otherwise closed without QUIT, since some servers delete or hide
// at QUIT whatever was retrieved.
package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/sasl"
	"github.com/postferry/postferry/internal/secret"
)

// Defaults of Options.
const (
	DefaultWindowMails  = 256
	DefaultWindowOctets = 8 << 20
	DefaultMaxOctets    = 1 << 30
	DefaultSilence      = 60 * time.Second
	DefaultCommand      = 5 * time.Minute
)

// Options say where the account is and how it is read.
type Options struct {
	Server   dial.Server
	TLS      dial.TLS
	Username string
	Password secret.Secret
	// Tokens gives OAuth 2.0 access tokens; where it is set they are used instead of
	// Password.
	Tokens sasl.TokenSource
	// Auth is the one way to sign in: a SASL mechanism in any letter case, "apop", or
	// "user" for USER and PASS; "" is the best that the server offers.
	Auth string

	// WindowMails and WindowOctets bound the RETR commands under way at a time,
	// where the server pipelines; a larger mail goes alone. 1 mail turns
	// pipelining off; 0 is the default.
	WindowMails  int
	WindowOctets int64
	// MaxOctets bounds one mail; a larger one is reported and left on the server.
	// 0 is DefaultMaxOctets.
	MaxOctets int64

	ConnectTimeout time.Duration // DNS, TCP and TLS; 0 is dial.DefaultConnectTimeout
	Silence        time.Duration // longest wait for an octet that is owed; 0 is DefaultSilence
	Command        time.Duration // longest command, RETR a second longer for each KiB; 0 is DefaultCommand

	Logger *slog.Logger // nil: nothing is logged
	Clock  clock.Clock  // for what is believed for a while only; nil is clock.System
}

// New checks the options and makes a Source. It does not connect.
func New(o Options) (*Source, error) {
	// go-pop3 sends its arguments as they are.
	if strings.ContainsAny(o.Username, "\x00\r\n") || strings.ContainsAny(o.Password.Reveal(), "\x00\r\n") {
		return nil, errors.New("pop3: username and password must not hold NUL, CR or LF")
	}
	if o.WindowMails < 0 || o.WindowOctets < 0 || o.MaxOctets < 0 {
		return nil, errors.New("pop3: the window and the largest mail must not be negative")
	}
	config, err := o.TLS.Config(o.Server.Host)
	if err != nil {
		return nil, fmt.Errorf("pop3: %w", err)
	}
	if o.Username == "" && len(config.Certificates) == 0 {
		return nil, errors.New("pop3: the username is missing")
	}
	o.defaults()
	s := &Source{o: o, tls: config}
	d := &dial.Dialer{
		Server: o.Server, TLS: config, ConnectTimeout: o.ConnectTimeout,
		Limits: dial.Limits{Read: o.Silence, Write: o.Silence},
	}
	s.connect = func(ctx context.Context) (connection, error) { return d.Dial(ctx) }
	return s, nil
}

func (o *Options) defaults() {
	if o.WindowMails == 0 {
		o.WindowMails = DefaultWindowMails
	}
	if o.WindowOctets == 0 {
		o.WindowOctets = DefaultWindowOctets
	}
	if o.MaxOctets == 0 {
		o.MaxOctets = DefaultMaxOctets
	}
	if o.Silence <= 0 {
		o.Silence = DefaultSilence
	}
	if o.Command <= 0 {
		o.Command = DefaultCommand
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
}
