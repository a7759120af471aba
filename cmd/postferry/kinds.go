package main

import (
	"log/slog"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/fetcher/imap"
	"github.com/postferry/postferry/fetcher/pop3"
	"github.com/postferry/postferry/internal/oauth"
	"github.com/postferry/postferry/internal/sasl"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/file"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/s3"
	"github.com/postferry/postferry/sinks/smtp"
	"github.com/postferry/postferry/sinks/webhook"
)

// mailboxKinds are the protocols mail is taken by; a new one is one line.
var mailboxKinds = []mailboxKind{
	{"imap", imap.Config{}, mailboxOf(openIMAP)},
	{"pop3", pop3.Config{}, mailboxOf(openPOP3)},
}

// sinkKinds are the kinds of destination; a new one is one line. One whose library
// not everybody wants in the program has it in a file of its own, sink_KIND.go, that
// the build tag no_KIND leaves out, and sink_no_KIND.go in its place.
var sinkKinds = []sinkKind{
	{"webhook", webhook.Options{}, sinkOf(webhook.New)},
	{"file", file.Options{}, sinkOf(file.New)},
	{"s3", s3.Options{}, sinkOf(s3.New)},
	{"smtp", smtp.Options{}, sinkOf(smtp.New)},
	execKind,
	kafkaKind,
	natsKind,
	amqpKind,
	mqttKind,
	redisKind,
}

// mailboxKind is one protocol: its name in events, which with an s behind it is
// also a scheme of server; the keys it adds; and how a mailbox's are read.
type mailboxKind struct {
	name string
	keys any
	read func(*config.Mailbox) (opener, error)
}

// kinds are the keys that the kinds and the formats add, for the schema and the reference.
func kinds() config.Kinds {
	k := config.Kinds{Mailboxes: map[string]any{}, Sinks: map[string]any{}, Formats: payload.Settings()}
	for _, m := range mailboxKinds {
		k.Mailboxes[m.name] = m.keys
	}
	for _, s := range sinkKinds {
		if s.keys != nil {
			k.Sinks[s.name] = s.keys
		}
	}
	return k
}

// opener makes an account's source. It connects to nothing.
type opener func(sourceEnv) (account, error)

// sourceEnv is what sources are made with.
type sourceEnv struct {
	tokens   *oauth.Pool
	readOnly bool // nothing on the server is changed by looking
	log      *slog.Logger
}

// tokensOf is the source of a mailbox's access tokens; nil where it signs in
// otherwise.
func (e sourceEnv) tokensOf(m *config.Mailbox) (sasl.TokenSource, error) {
	if !m.Section.Has("oauth2") {
		return nil, nil
	}
	s, err := e.tokens.Source(oauth.Config(m.OAuth2))
	if err != nil {
		return nil, config.At("oauth2", err)
	}
	return s, nil
}

// account is what a protocol makes of a configured mailbox.
type account struct {
	source fetcher.Source
	boxes  []string
	idle   bool
}

// mailboxOf reads a kind's own keys into a C.
func mailboxOf[C any](open func(c C, m *config.Mailbox, tokens sasl.TokenSource, e sourceEnv) (account, error)) func(*config.Mailbox) (opener, error) {
	return func(m *config.Mailbox) (opener, error) {
		var own C
		if err := m.Section.Decode(&own); err != nil {
			return nil, err
		}
		if c, ok := any(own).(checker); ok {
			if err := c.Check(m); err != nil {
				return nil, err
			}
		}
		return func(e sourceEnv) (account, error) {
			tokens, err := e.tokensOf(m)
			if err != nil {
				return account{}, err
			}
			return open(own, m, tokens, e)
		}, nil
	}
}

// checker is a kind that cannot do all that a mailbox may be told to.
type checker interface {
	Check(*config.Mailbox) error
}

func openIMAP(c imap.Config, m *config.Mailbox, tokens sasl.TokenSource, e sourceEnv) (account, error) {
	s, err := c.Source(m, tokens, e.readOnly, e.log)
	if err != nil {
		return account{}, err
	}
	return account{source: s, boxes: c.Folders, idle: c.Idle}, nil
}

func openPOP3(c pop3.Config, m *config.Mailbox, tokens sasl.TokenSource, e sourceEnv) (account, error) {
	s, err := c.Source(m, tokens, e.log)
	if err != nil {
		return account{}, err
	}
	return account{source: s, boxes: []string{fetcher.Maildrop}}, nil
}

// sinkKind is one kind of destination: its name, the keys it adds, and how a
// sink's are read.
type sinkKind struct {
	name string
	keys any // nil: left out of this program
	read func(*config.Sink) (maker, error)
}

// maker makes the sink; it may open what the sink writes to.
type maker func(payload.Renderer, sinks.Env) (sinks.Sink, error)

// sinkOf reads a kind's own keys into an O.
func sinkOf[O any, S sinks.Sink](make func(name string, o O, r payload.Renderer, e sinks.Env) (S, error)) func(*config.Sink) (maker, error) {
	return func(s *config.Sink) (maker, error) {
		var own O
		if err := s.Section.Decode(&own); err != nil {
			return nil, err
		}
		return func(r payload.Renderer, e sinks.Env) (sinks.Sink, error) {
			made, err := make(s.Name, own, r, e)
			if err != nil {
				return nil, err // made is a nil pointer, and would be a sink
			}
			return made, nil
		}, nil
	}
}
