// Package pop3d is a POP3 server for tests that says what it is told to say. It
// holds one maildrop and obeys RFC 1939; a Script replaces single replies by
// others, octet for octet, by silence, or by the end of the connection:
//
//	s := pop3d.Start(t, pop3d.Script{"UIDL": pop3d.Say("-ERR no\r\n")}, mails...)
//
// Options has it be one of the odd servers there are. It speaks plain text on
// loopback, or TLS where a certificate is given. Without Options.SASL any user may
// sign in with any password.
package pop3d

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
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

// Stream sends these octets, and then what write writes.
func Stream(octets string, write func(w io.Writer)) Reply { return script.Stream(octets, write) }

// Drips sends one octet at a time, so far apart, and again from the first when all
// are sent.
func Drips(octets string, every time.Duration) Reply { return script.Drips(octets, every) }

// Script maps a command line, such as "RETR 2", or its keyword alone, to what
// replaces its reply. "" is the greeting. The longer name goes first.
type Script = script.Script

// Options say what kind of server it is. The zero Options are an ordinary one.
type Options struct {
	Script   Script
	TLS      *tls.Config // for STLS
	Implicit bool        // TLS from the first octet, with that certificate
	Greeting string      // "" is "ready"
	Capa     []string    // nil is UIDL, TOP and PIPELINING; empty: CAPA is refused
	SASL     map[string]Mechanism
	Password string // with USER, PASS and APOP; "" is any

	UID            func(i int, mail []byte) string // of the i-th mail, from 1; nil is u1, u2, …
	NoUIDL, NoTOP  bool
	CommitOnHangUp bool              // DELE counts without QUIT
	Hide           bool              // what was retrieved is not shown to the sessions after a QUIT
	Deleted        func(mail []byte) // told of each mail that is deleted by a client
	CutAfter       int               // octets sent on a connection before it is closed; 0 is never
	Hangs          int               // after that many RETR and DELE the connection is closed; 0 is never
}

// Mechanism is the server's half of a SASL exchange.
type Mechanism = script.Mechanism

// The verdicts of a Mechanism.
const (
	More   = script.More
	Accept = script.Accept
	Refuse = script.Refuse
)

// Verdict is how a step of an exchange ended.
type Verdict = script.Verdict

// Server is a running server.
type Server struct {
	*listen.Loopback

	o Options

	mu       sync.Mutex
	script   Script
	mails    [][]byte // nil once deleted
	hidden   map[int]bool
	commands []string
}

// Start serves the mails until the test ends. Their unique-ids are u1, u2 and so
// on.
func Start(t testing.TB, script Script, mails ...[]byte) *Server {
	t.Helper()
	return StartWith(t, Options{Script: script}, mails...)
}

// StartWith is Start with more to say of the server.
func StartWith(t testing.TB, o Options, mails ...[]byte) *Server {
	t.Helper()
	s := &Server{o: o, script: Script{}, mails: slices.Clone(mails), hidden: map[int]bool{}}
	maps.Copy(s.script, o.Script)
	s.Loopback = listen.Open(t)
	s.Loopback.Serve(s.serve, nil)
	return s
}

// Commands are the lines all clients have sent so far.
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

// Add puts a mail into the maildrop; sessions that begin later see it.
func (s *Server) Add(mail []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, mail)
}

// Stored counts the mails that were not deleted by a QUIT.
func (s *Server) Stored() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, m := range s.mails {
		if m != nil {
			n++
		}
	}
	return n
}

// Holds reports whether the i-th mail, from 1, is still there.
func (s *Server) Holds(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mails[i-1] != nil
}

func (s *Server) serve(c net.Conn) {
	x := &session{Server: s, c: c, deleted: map[int]bool{}, seen: map[int]bool{}, shown: s.visible()}
	if s.o.Implicit {
		x.c = tls.Server(c, s.o.TLS)
	}
	x.r = bufio.NewReader(x.c)
	defer x.hungUp()
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
		if !scripted && line == "STLS" && s.o.TLS != nil {
			x.c = tls.Server(x.c, s.o.TLS)
			x.r = bufio.NewReader(x.c)
		}
		if line, more = x.line(); more {
			x.note(line)
		}
	}
}

// session is one client.
type session struct {
	*Server
	c       net.Conn
	r       *bufio.Reader
	shown   []int // numbers of the mails of the maildrop that it sees, by message number
	deleted map[int]bool
	seen    map[int]bool // retrieved
	done    int          // RETR and DELE
	quit    bool
	sent    int // octets
}

// visible are the mails a new session sees.
func (s *Server) visible() (all []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.mails {
		if m != nil && !s.hidden[i] {
			all = append(all, i)
		}
	}
	return all
}

func (x *session) line() (string, bool) {
	text, err := x.r.ReadString('\n')
	return strings.TrimRight(text, "\r\n"), err == nil
}

// note keeps what the client said.
func (x *session) note(line string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.commands = append(x.commands, line)
}

func (x *session) scripted(line string) (Reply, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	word, _, _ := strings.Cut(line, " ")
	return x.script.Take(line, word)
}

// send reports whether the session goes on.
func (x *session) send(r Reply) bool {
	if left := x.o.CutAfter - x.sent; x.o.CutAfter > 0 && len(r.Octets) >= left {
		r = Cut(r.Octets[:left])
	}
	x.sent += len(r.Octets)
	return r.Send(x.c, x.r)
}

// hungUp is the end of a connection, however it came.
func (x *session) hungUp() {
	if x.o.CommitOnHangUp && !x.quit {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.commit()
	}
}

// commit needs mu.
func (x *session) commit() {
	for i := range x.deleted {
		if x.o.Deleted != nil && x.mails[i] != nil {
			x.o.Deleted(x.mails[i])
		}
		x.mails[i] = nil
	}
	if x.o.Hide {
		for i := range x.seen {
			x.hidden[i] = true
		}
	}
}

func errorf(format string, args ...any) Reply {
	return Say(fmt.Sprintf("-ERR "+format+"\r\n", args...))
}
