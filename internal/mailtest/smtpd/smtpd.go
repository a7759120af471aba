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
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Reply is what the server does in place of its own reply.
type Reply struct {
	Octets  string // sent as they are
	Endless string // then repeated until the client goes away
	Cut     bool   // then the connection is closed
	Silent  bool   // then nothing more is ever said
	Obeyed  bool   // what was asked for is done before
	Times   int    // how often it replaces; 0 is always

	Drip  string        // then this is sent, octet by octet
	Every time.Duration // one
}

// Say replies with these octets and goes on.
func Say(octets string) Reply { return Reply{Octets: octets} }

// Cut sends these octets and closes the connection.
func Cut(octets string) Reply { return Reply{Octets: octets, Cut: true} }

// Silence sends these octets and then nothing more.
func Silence(octets string) Reply { return Reply{Octets: octets, Silent: true} }

// Endless sends these octets, and then others again and again.
func Endless(octets, again string) Reply { return Reply{Octets: octets, Endless: again} }

// Drips sends one octet at a time, so far apart, and again from the first when all
// are sent.
func Drips(octets string, every time.Duration) Reply { return Reply{Drip: octets, Every: every} }

// Once makes a reply that replaces one time only.
func (r Reply) Once() Reply { r.Times = 1; return r }

// After makes a reply that follows after what was asked for is done.
func (r Reply) After() Reply { r.Obeyed = true; return r }

// Script maps a command line, such as "RCPT TO:<a@example.com>", or its keyword
// alone, to what replaces its reply. "" is the greeting, "." the end of the data,
// and "body" what is said when Options.BodyStop octets of the data have come. The
// longer name goes first.
type Script map[string]Reply

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

// Mechanism is the server's half of a SASL exchange: it is given the client's
// response (nil: none came yet) and gives a challenge, or ends the exchange. Each
// exchange begins with step 0.
type Mechanism func(step int, response []byte) (challenge []byte, v Verdict)

// Verdict is how a step of an exchange ended.
type Verdict int

// The verdicts.
const (
	More Verdict = iota
	Accept
	Refuse
)

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
	Host string // 127.0.0.1
	Port string

	o    Options
	l    net.Listener
	work sync.WaitGroup

	opened atomic.Int64

	mu       sync.Mutex
	script   Script
	mails    []Mail
	commands []string
	conns    map[net.Conn]bool
	changed  chan struct{} // closed at each command, mail and end of a connection
}

// Start serves until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{o: o, script: maps.Clone(o.Script), l: l, conns: map[net.Conn]bool{}, changed: make(chan struct{})}
	if s.script == nil {
		s.script = Script{}
	}
	s.Host, s.Port, _ = net.SplitHostPort(l.Addr().String())
	s.work.Go(s.accept)
	t.Cleanup(s.stop)
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

// Sessions counts the connections so far.
func (s *Server) Sessions() int { return int(s.opened.Load()) }

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

// Open counts the connections that are open.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// notify needs mu.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) stop() {
	s.l.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.work.Wait()
}

// Hang closes every connection that is open, as a server does that restarts.
func (s *Server) Hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

func (s *Server) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.conns == nil {
			c.Close()
		} else {
			s.opened.Add(1)
			s.conns[c] = true
			s.notify()
			s.work.Go(func() {
				s.serve(c)
				c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.notify()
				s.mu.Unlock()
			})
		}
		s.mu.Unlock()
	}
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
			s.mu.Lock()
			s.commands = append(s.commands, line)
			s.notify()
			s.mu.Unlock()
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

func (x *session) scripted(line string) (Reply, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	word, _, _ := strings.Cut(line, " ")
	for _, name := range []string{line, word} {
		r, ok := x.script[name]
		if !ok {
			continue
		}
		if r.Times > 0 {
			if r.Times--; r.Times == 0 {
				delete(x.script, name)
			} else {
				x.script[name] = r
			}
		}
		return r, true
	}
	return Reply{}, false
}

// send reports whether the session goes on.
func (x *session) send(r Reply) bool {
	if _, err := io.WriteString(x.c, r.Octets); err != nil {
		return false
	}
	if r.Drip != "" && !x.drip(r) {
		return false
	}
	if r.Endless != "" {
		chunk := []byte(strings.Repeat(r.Endless, 1+8192/len(r.Endless)))
		for {
			if _, err := x.c.Write(chunk); err != nil {
				return false
			}
		}
	}
	if r.Silent {
		io.Copy(io.Discard, x.r)
	}
	return !r.Cut && !r.Silent
}

// drip goes on until the client goes away.
func (x *session) drip(r Reply) bool {
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	for i := 0; ; i++ {
		<-tick.C
		if _, err := x.c.Write([]byte{r.Drip[i%len(r.Drip)]}); err != nil {
			return false
		}
	}
}
