package queue

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/link"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
)

// Protocol is one by which brokers are talked to. Its urls begin with Name, and with
// Name and an s for TLS.
type Protocol struct {
	Name       string // "amqp"
	Port       string // unless the url says otherwise
	SecurePort string // with TLS
	Path       string // what may follow the port, for messages: "/vhost"
}

// Access is what a configuration says beside the url, of how a broker is reached.
type Access struct {
	Insecure bool
	Username string
	Password secret.Secret
	TLS      config.TLS
}

// Broker is where a broker is, and who signs in there.
type Broker struct {
	Server   dial.Server
	TLS      *tls.Config // nil: clear text
	Username string
	Password secret.Secret
}

// Broker reads scheme, host, port and user of a url; what else it may have is the
// sink's. Errors are about the key, and do not repeat the url.
func (p Protocol) Broker(u *url.URL, a Access) (Broker, error) {
	clear, secure := p.Name, p.Name+"s"
	at := func(format string, args ...any) (Broker, error) {
		return Broker{}, config.At("url", fmt.Errorf(format, args...))
	}
	switch {
	case u.Scheme != clear && u.Scheme != secure:
		return at("must be %s://host:%s%s or %s://host:%s%s", clear, p.Port, p.Path, secure, p.SecurePort, p.Path)
	case u.Hostname() == "":
		return at("has no host: write %s://host:%s%s", clear, p.Port, p.Path)
	case u.Scheme == clear && !a.Insecure && !dial.IsLoopback(u.Hostname()):
		return at("is %s:// to another machine, so mail and password would go in clear text: use %s://, or set insecure: true", clear, secure)
	}
	if u.Scheme == clear && a.TLS.Names() {
		return Broker{}, config.At("tls", fmt.Errorf("it has no effect with a url of %s://: use %s://, or take it out", clear, secure))
	}
	a, err := a.With(u)
	if err != nil {
		return Broker{}, err
	}
	b := Broker{Server: dial.Server{Scheme: u.Scheme, Host: u.Hostname(), Port: u.Port(), Mode: dial.Plain}, Username: a.Username, Password: a.Password}
	port := p.Port
	if u.Scheme == secure {
		port, b.Server.Mode = p.SecurePort, dial.Implicit
		if b.TLS, err = dial.TLS(a.TLS).Config(b.Server.Host); err != nil {
			return Broker{}, config.At("tls", err)
		}
	}
	if b.Server.Port == "" {
		b.Server.Port = port
	}
	return b, nil
}

// With is the access of the url's user, where it has one.
func (a Access) With(u *url.URL) (Access, error) {
	switch {
	case u.User == nil:
		return a, nil
	case a.Username != "" || !a.Password.IsZero():
		return a, config.At("url", errors.New("has a user, and username or password is set: keep one of them"))
	}
	password, _ := u.User.Password()
	a.Username, a.Password = u.User.Username(), secret.New(password)
	return a, nil
}

// String names the broker, without secrets.
func (b Broker) String() string { return b.Server.Address() }

// Mask knows the broker's password.
func (b Broker) Mask() Mask {
	password := b.Password.Reveal()
	return NewMask(password, url.QueryEscape(password))
}

// Dial connects, within that time, and with TLS makes the handshake. A write may take
// as long as is said, and a read for ever: between two mails there is silence.
func (b Broker) Dial(ctx context.Context, connect, write time.Duration) (*dial.Conn, error) {
	c, err := (&dial.Dialer{Server: b.Server, TLS: b.TLS, ConnectTimeout: connect, Limits: dial.Limits{Write: write}}).Dial(ctx)
	if err != nil {
		return nil, err
	}
	c.SetReadTimeout(0)
	return c, nil
}

// Unconnected grades that no connection could be made: no mail had a part in it, so
// the sink is held, unless it is that nobody waits any more. to is the broker, for
// messages; fix says what to do where the error does not, and may be "".
func Unconnected(ctx context.Context, to string, err error, m Mask, fix string) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("connecting to %s: %w", to, context.Cause(ctx))
	case errors.Is(err, link.ErrClosed):
		return fmt.Errorf("connecting to %s: %w", to, err)
	}
	said := fmt.Sprintf("connecting to %s: %s", to, m.Clean(err.Error()))
	if at, ok := errors.AsType[*dial.Error](err); ok && at.Hint != "" {
		said, fix = m.Clean(at.Error()), inURL(at.Hint)
	}
	if fix != "" {
		said += " — " + fix
	}
	return sinks.SinkFault(errors.New(said))
}

// Connected is the finding of a check whose connection was made; user may be "".
func Connected(to string, encrypted bool, user string) sinks.Finding {
	said := "connected to " + to
	if encrypted {
		said += " with TLS"
	}
	if user != "" {
		said += ", signed in as " + user
	}
	return sinks.Finding{Step: "connection", OK: true, Said: said}
}

// NotConnected is the finding of one whose connection was not; fix says what to do
// where the error does not.
func NotConnected(err error, m Mask, fix string) sinks.Finding {
	f := sinks.Finding{Step: "connection", Said: m.Clean(err.Error()), Fix: fix}
	var at *dial.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &at):
		f.Step = strings.ToUpper(at.Stage)
		if at.Hint != "" {
			f.Fix = inURL(at.Hint)
		}
	case errors.As(err, &dns):
		f.Step = "DNS"
	case IsTLS(err):
		f.Step = "TLS"
	}
	return f
}

// IsTLS tells that client and server have not come to terms on TLS, or do not trust
// each other, also where a library has made a text of the error.
func IsTLS(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header) || strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "x509: ")
}

// inURL is a hint written for mailboxes in the words of a sink.
func inURL(hint string) string { return ofMailboxes.Replace(hint) }

var ofMailboxes = strings.NewReplacer("in server", "in url", " for an upgrade in band", ", with insecure: true where it is another machine")
