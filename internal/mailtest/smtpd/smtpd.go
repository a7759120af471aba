// Package smtpd is an SMTP server for tests that says what it is told to say. It
// obeys RFC 5321 and keeps the mails it accepts; a Script replaces single replies
// by others, octet for octet, by silence, or by the end of the connection:
//
//	s := smtpd.Start(t, smtpd.Options{Script: smtpd.Script{"RCPT": smtpd.Say("550 5.1.1 no\r\n")}})
//
// Options.Ends has it see the end of a mail where servers have been known to see
// it, and what follows as commands, so that a test can tell how many mails there
// are in what was meant to be one. It speaks plain text on loopback, or TLS where a
// certificate is given. Without Options.SASL there is no sign-in.
package smtpd

import (
	"bufio"
	"crypto/tls"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest/listen"
	"github.com/postferry/postferry/internal/mailtest/script"
)

// Reply is what the server does in place of its own reply.
type Reply = script.Reply

// Say replies with these octets and goes on.
func Say(octets string) Reply { return script.Say(octets) }

// Cut sends these octets and closes the connection.
func Cut(octets string) Reply { return script.Cut(octets) }

// Silence sends these octets and then nothing more.
func Silence(octets string) Reply { return script.Silence(octets) }

// Endless sends these octets, and then others again and again.
func Endless(octets, again string) Reply { return script.Endless(octets, again) }

// Drips sends one octet at a time, so far apart, and again from the first when all
// are sent.
func Drips(octets string, every time.Duration) Reply { return script.Drips(octets, every) }

// Script maps a command line, such as "RCPT TO:<a@example.com>", or its keyword
// alone, to what replaces its reply. "" is the greeting, "." the end of the data,
// and "body" what is said when Options.BodyStop octets of the data have come. The
// longer name goes first.
type Script = script.Script

// Ends are what a server takes for the end of a line in the data.
type Ends int

// The kinds of servers.
const (
	Strict    Ends = iota // CR LF alone, as RFC 5321 section 2.3.8 has it
	LFLenient             // LF alone, too
	CRLenient             // LF or CR alone, too
	Anything              // NUL, too
)

// Options say what kind of server it is. The zero Options are an ordinary one
// without sign-in.
type Options struct {
	Script   Script
	TLS      *tls.Config // for STARTTLS
	Implicit bool        // TLS from the first octet, with that certificate
	Ext      []string    // nil is PIPELINING, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES and SIZE 10000000
	SASL     map[string]Mechanism
	Required bool // MAIL is refused before a sign-in
	Ends     Ends
	BodyStop int // for Script "body"
}

// Mechanism is the server's half of a SASL exchange.
type Mechanism = script.Mechanism

// Mail is one that was accepted.
type Mail struct {
	From   string // as in the command, between < and >
	Params string // of MAIL
	To     []string
	Data   []byte // dots unstuffed, without the end
	As     string // the mechanism signed in by; "" without
	TLS    bool
}

// Server is a running server.
type Server struct {
	*listen.Loopback

	o Options

	mu       sync.Mutex
	script   Script
	mails    []Mail
	commands []string
	changed  chan struct{} // closed at each command, mail and end of a connection
}

// Start serves until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{o: o, script: Script{}, changed: make(chan struct{})}
	maps.Copy(s.script, o.Script)
	s.Loopback = listen.Open(t)
	s.Loopback.Serve(s.serve, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.notify()
	})
	return s
}

// Mails are those accepted so far.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Commands are the lines all clients have sent so far, without data.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Script replaces a reply from now on, as Options.Script does.
func (s *Server) Script(name string, r Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script[name] = r
}

// Obey takes a replacement back.
func (s *Server) Obey(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.script, name)
}

// Wait waits until the condition holds, which is asked after each command, mail
// and end of a connection; the test fails after a minute.
func (s *Server) Wait(t testing.TB, holds func() bool) {
	t.Helper()
	end := time.After(time.Minute)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-end:
			t.Fatalf("what was waited for did not come; the commands are %q", s.Commands())
		}
	}
}

// notify needs mu.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) serve(c net.Conn) {
	x := &session{Server: s, c: c}
	if s.o.Implicit {
		x.c, x.secure = tls.Server(c, s.o.TLS), true
	}
	x.r = bufio.NewReader(x.c)
	for line, more := "", true; more; {
		reply, scripted := x.scripted(line)
		if !scripted || reply.Obeyed {
			own := x.obey(line)
			if !scripted {
				reply = own
			}
		}
		if !x.send(reply) {
			return
		}
		switch {
		case line == "STARTTLS" && s.o.TLS != nil && strings.HasPrefix(reply.Octets, "220"):
			x.c = tls.Server(x.c, s.o.TLS)
			x.r, x.secure, x.signed = bufio.NewReader(x.c), true, ""
		case line == "DATA" && strings.HasPrefix(reply.Octets, "354"):
			if !x.data() {
				return
			}
			line = "."
			continue
		}
		if line, more = x.line(); more {
			x.note(line)
		}
	}
}

// session is one client.
type session struct {
	*Server
	c      net.Conn
	r      *bufio.Reader
	secure bool
	signed string
	mail   *Mail // under way
}

func (x *session) line() (string, bool) {
	text, err := x.r.ReadString('\n')
	text = strings.TrimRight(text, "\r\n")
	if text == "" || text == "." { // no command, though names in a Script
		text = "?" + text
	}
	return text, err == nil
}

// note keeps what the client said.
func (x *session) note(line string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.commands = append(x.commands, line)
	x.notify()
}

func (x *session) scripted(line string) (Reply, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	word, _, _ := strings.Cut(line, " ")
	return x.script.Take(line, word)
}

// send reports whether the session goes on.
func (x *session) send(r Reply) bool { return r.Send(x.c, x.r) }
