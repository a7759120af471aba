package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const (
	maxMail       = 25 << 20 // octets of one mail
	maxRecipients = 100      // RFC 5321 section 4.5.3.1.8: at the least
	maxMailLine   = 64 << 10 // RFC 5321 section 4.5.3.1.6 says 1000, and many programs write longer ones
)

// smtpServer takes any mail to any address, and whatever a client signs in with.
type smtpServer struct {
	server  *smtp.Server
	deliver func(raw []byte, at time.Time) error
}

func newSMTPServer(deliver func(raw []byte, at time.Time) error, log *log.Logger) *smtpServer {
	s := &smtpServer{deliver: deliver}
	s.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &smtpSession{smtpServer: s, conn: c}, nil
	}))
	s.server.Domain = "localhost"
	s.server.MaxMessageBytes, s.server.MaxLineLength, s.server.MaxRecipients = maxMail, maxMailLine, maxRecipients
	s.server.ReadTimeout, s.server.WriteTimeout = 5*time.Minute, time.Minute // RFC 5321 section 4.5.3.2.7
	s.server.AllowInsecureAuth = true                                        // on loopback, and nothing is checked
	s.server.EnableSMTPUTF8 = true
	s.server.ErrorLog = log
	return s
}

// serve returns when l is closed.
func (s *smtpServer) serve(l net.Listener) error { return s.server.Serve(l) }

// wait returns when no connection is being worked on; l is closed by then.
func (s *smtpServer) wait() { s.server.Shutdown(context.Background()) }

// smtpSession is one client.
type smtpSession struct {
	*smtpServer
	conn *smtp.Conn
	from string
	to   []string
}

var _ smtp.AuthSession = (*smtpSession)(nil)

// Mail implements smtp.Session.
func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

// Data implements smtp.Session. The mail is kept as it came, below the trace
// fields of this hop.
func (s *smtpSession) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := s.deliver(append(s.trace(now), body...), now); errors.Is(err, errFull) {
		return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "The demo's mailbox is full; send this again later"}
	} else if err != nil {
		return err
	}
	return nil
}

// trace is what the last hop adds (RFC 5321 section 4.4).
func (s *smtpSession) trace(at time.Time) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <%s>\r\n", oneLine(s.from))
	for _, to := range s.to {
		fmt.Fprintf(&b, "Delivered-To: %s\r\n", oneLine(to))
	}
	host, _, _ := net.SplitHostPort(s.conn.Conn().RemoteAddr().String())
	fmt.Fprintf(&b, "Received: from %s ([%s])\r\n\tby localhost with ESMTP;\r\n\t%s\r\n", domain(s.conn.Hostname()), host, at.Format(time.RFC1123Z))
	return []byte(b.String())
}

// oneLine keeps what a client wrote from ending the field it stands in.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// domain is the name a client gave itself, if it may stand in a Received field.
func domain(helo string) string {
	for _, r := range helo {
		if r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;\"`, r) {
			return "unknown"
		}
	}
	return helo
}

// Reset implements smtp.Session.
func (s *smtpSession) Reset() { s.from, s.to = "", nil }

// Logout implements smtp.Session.
func (s *smtpSession) Logout() error { return nil }

// AuthMechanisms implements smtp.AuthSession.
func (s *smtpSession) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements smtp.AuthSession: programs that must sign in somewhere may
// do so here with anything.
func (s *smtpSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, _ string) error { return nil }), nil
}
