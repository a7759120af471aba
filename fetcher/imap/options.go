package imap

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
	DefaultBatchMails = 512
	DefaultMaxOctets  = 1 << 30
	DefaultSilence    = 60 * time.Second
	DefaultCommand    = 5 * time.Minute
	DefaultIdleRenew  = 9 * time.Minute
	DefaultIdleReply  = 30 * time.Second
	DefaultAskEvery   = 30 * time.Second
)

// logoutWait is how long Close waits for the server's goodbye.
const logoutWait = 2 * time.Second

// Options say where the account is and how it is read.
type Options struct {
	Server   dial.Server
	TLS      dial.TLS
	Username string
	Password secret.Secret
	// Tokens gives OAuth 2.0 access tokens; where it is set they are used instead of
	// Password.
	Tokens sasl.TokenSource
	// Auth is the one SASL mechanism to sign in by, in any letter case; "" is the best
	// that the server offers. LOGIN stands for the command too.
	Auth string

	Search Search
	// ReadOnly opens boxes with EXAMINE, so that reading changes nothing, not even
	// \Recent. A settlement that is due still opens its box for writing.
	ReadOnly bool

	// BatchMails bounds one FETCH of whole mails; 0 is DefaultBatchMails. Two are under
	// way at a time, and servers answer them in any order, so that only the mails of
	// one batch come in order.
	BatchMails int
	// MaxOctets bounds one mail; a larger one is reported and left on the server.
	// 0 is DefaultMaxOctets, which is also the most.
	MaxOctets int64

	ConnectTimeout time.Duration // DNS, TCP and TLS; 0 is dial.DefaultConnectTimeout
	Silence        time.Duration // longest wait for an octet that is owed; 0 is DefaultSilence
	Command        time.Duration // longest command other than the retrieval of mails; 0 is DefaultCommand
	IdleRenew      time.Duration // longest Wait; 0 is DefaultIdleRenew
	IdleReply      time.Duration // longest wait for the ends of IDLE; 0 is DefaultIdleReply
	AskEvery       time.Duration // between the NOOPs to a server without IDLE; 0 is DefaultAskEvery

	Logger *slog.Logger // nil: nothing is logged
	Clock  clock.Clock  // for Search.Since; nil is clock.System
}

// Search is a filter: what does not match is listed as excluded, and so known
// and not taken. The zero Search matches all.
type Search struct {
	Since  time.Duration // received within it; 0 is all
	Unseen bool          // without \Seen
}

// New checks the options and makes a Source. It does not connect.
func New(o Options) (*Source, error) {
	if strings.ContainsAny(o.Username, "\x00\r\n") || strings.ContainsAny(o.Password.Reveal(), "\x00\r\n") {
		return nil, errors.New("imap: username and password must not hold NUL, CR or LF")
	}
	if o.Search.Since < 0 || o.BatchMails < 0 || o.MaxOctets < 0 {
		return nil, errors.New("imap: search.since, the batch and the largest mail must not be negative")
	}
	config, err := o.TLS.Config(o.Server.Host)
	if err != nil {
		return nil, fmt.Errorf("imap: %w", err)
	}
	if o.Username == "" && len(config.Certificates) == 0 {
		return nil, errors.New("imap: the username is missing")
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
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&o.Silence, DefaultSilence}, {&o.Command, DefaultCommand},
		{&o.IdleRenew, DefaultIdleRenew}, {&o.IdleReply, DefaultIdleReply},
		{&o.AskEvery, DefaultAskEvery},
	} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	if o.BatchMails == 0 {
		o.BatchMails = DefaultBatchMails
	}
	if o.MaxOctets == 0 || o.MaxOctets > DefaultMaxOctets {
		o.MaxOctets = DefaultMaxOctets
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
}
