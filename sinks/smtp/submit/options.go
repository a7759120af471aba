package submit

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/sasl"
	"github.com/postferry/postferry/internal/secret"
)

// Timeouts of RFC 5321 section 4.5.3.2.
const (
	commandTimeout = 5 * time.Minute  // greeting, EHLO, MAIL, RCPT
	dataTimeout    = 2 * time.Minute  // the answer to DATA
	blockTimeout   = 3 * time.Minute  // for each piece of the data to be taken
	endTimeout     = 10 * time.Minute // the answer to the end of the data
)

// Longest is how long an attempt may last that the server keeps answering, each
// time at the last moment: what bounds one should not be shorter.
const Longest = 30 * time.Minute

// Idle is how long a connection is kept for the next mail.
const Idle = 30 * time.Second

// Options say which server, and how to sign in. Only Server is needed.
type Options struct {
	Server      dial.Server
	TLS         dial.TLS
	Username    string // "": no sign-in, as with a relay
	Password    secret.Secret
	Tokens      sasl.TokenSource // in place of Password
	Auth        string           // the one mechanism to sign in by; "" is the best that is offered
	Hello       string           // the name in EHLO; "" is this host's, or its address where it has no full name
	Connections int              // at once; 0 is one
	Idle        time.Duration    // how long a connection is kept; 0 is Idle
	Logger      *slog.Logger     // nil: nothing is logged
}

// validate completes the options.
func (o *Options) validate() error {
	if o.Connections <= 0 {
		o.Connections = 1
	}
	if o.Idle <= 0 {
		o.Idle = Idle
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Hello != "" && !isHello(o.Hello):
		return fmt.Errorf("hello %q is no host name, nor an address in brackets", printable(o.Hello))
	case strings.ContainsAny(o.Username+o.Password.Reveal(), "\r\n\x00"):
		return errors.New("user name or password has a line break or a zero octet in it")
	}
	return nil
}

// isHello tells whether a name may stand in EHLO: a domain, or an address literal
// (RFC 5321 section 4.1.1.1).
func isHello(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && net.ParseIP(strings.TrimPrefix(inner, "IPv6:")) != nil
	}
	return s != "" && len(s) <= 255 && !strings.HasPrefix(s, "-") && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// helloName is the name to introduce ourselves by: a full name, or the address
// where this host has none (RFC 5321 section 4.1.4).
func helloName(wanted string, local net.Addr) string {
	if wanted != "" {
		return wanted
	}
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") && isHello(name) {
		return name
	}
	host, _, _ := net.SplitHostPort(local.String())
	host, _, _ = strings.Cut(host, "%")
	ip := net.ParseIP(host)
	switch {
	case ip == nil:
		return "localhost"
	case ip.To4() != nil:
		return "[" + ip.String() + "]"
	}
	return "[IPv6:" + ip.String() + "]" // RFC 5321 section 4.1.3
}
