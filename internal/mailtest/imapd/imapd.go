// Package imapd is an IMAP server for tests that says what it is told to say. It
// holds the boxes of one account and obeys RFC 3501 as far as postferry's client
// goes; a Script replaces single answers by others, octet for octet, by silence,
// or by the end of the connection:
//
//	s := imapd.Start(t, imapd.Options{Script: imapd.Script{
//		"UID SEARCH": imapd.Say("$ NO not now\r\n"),
//	}}, mails...)
//
// It speaks plain text on loopback, and TLS, after STARTTLS or from the first octet,
// when a certificate is given. Any user may sign in with any password. No line of a mail it serves may
// begin with "$".
package imapd

import (
	"bufio"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postferry/postferry/internal/mailtest/script"
)

// AllCaps are the capabilities of a server that has everything postferry uses.
const AllCaps = "IMAP4rev1 SASL-IR AUTH=PLAIN ID IDLE UIDPLUS MOVE ESEARCH"

// Reply is what the server does in place of its own answer. A "$" at the
// beginning of a line of Octets is the command's tag, "$$" is one "$".
type Reply = script.Reply

// Say answers with these octets and goes on.
func Say(octets string) Reply { return script.Say(octets) }

// Cut sends these octets and closes the connection.
func Cut(octets string) Reply { return script.Cut(octets) }

// Silence sends these octets and then nothing more.
func Silence(octets string) Reply { return script.Silence(octets) }

// Endless sends these octets, and then others again and again.
func Endless(octets, again string) Reply { return script.Endless(octets, again) }

// Stream sends these octets, and then what write writes.
func Stream(octets string, write func(w io.Writer)) Reply { return script.Stream(octets, write) }

// Before sends these octets before the server's own answer.
func Before(octets string) Reply { return Reply{Octets: octets, Own: true} }

// First does this the first time only.
func First(r Reply) Reply { return r.Once() }

// Script maps a command without its tag ("UID FETCH 2 (UID BODY.PEEK[])"), or its
// keyword alone (see Keyword), to what replaces its answer. "" is the greeting,
// "DONE" the end of IDLE, and "+" the octets of a SASL exchange. The longer name
// goes first.
type Script = script.Script

// Options of a Server. The zero Options are AllCaps, obeyed in plain text.
type Options struct {
	Caps     string
	TLS      *tls.Config // for STARTTLS
	Implicit bool        // TLS from the first octet, with that certificate
	Script   Script
	// Boxes are there beside INBOX, empty.
	Boxes []string
	// Uses are the special uses of boxes, by name (RFC 6154).
	Uses map[string]string
}

// Server is a running server.
type Server struct {
	Host string // 127.0.0.1
	Port string

	o    Options
	l    net.Listener
	work sync.WaitGroup

	mu       sync.Mutex
	script   Script
	boxes    map[string]*box
	commands []string
	conns    map[*session]bool
	closed   bool
	twist    func(command, answer string) string
}

// Start serves until the test ends. INBOX holds the mails, with UIDs from 1 on
// and UIDVALIDITY 7.
func Start(t testing.TB, o Options, mails ...[]byte) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(o, mails...)
	s.l = l
	s.Host, s.Port, _ = net.SplitHostPort(l.Addr().String())
	s.work.Go(s.accept)
	t.Cleanup(s.Stop)
	return s
}

// New makes a server that listens nowhere; see Serve.
func New(o Options, mails ...[]byte) *Server {
	if o.Caps == "" {
		o.Caps = AllCaps
	}
	s := &Server{o: o, script: Script{}, boxes: map[string]*box{}, conns: map[*session]bool{}}
	maps.Copy(s.script, o.Script)
	for _, name := range append([]string{"INBOX"}, o.Boxes...) {
		s.boxes[name] = &box{validity: 7, next: 1}
	}
	for _, m := range mails {
		s.boxes["INBOX"].add(m)
	}
	return s
}

// Twist changes the server's own answers from now on; nil changes none.
func (s *Server) Twist(f func(command, answer string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.twist = f
}

// Commands are the lines all clients have sent so far, without their tags.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Sessions counts the open connections.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Drop closes every connection, as a server does that is started anew.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := range s.conns {
		x.raw.Close()
	}
}

// Stop ends the server and every session.
func (s *Server) Stop() {
	if s.l != nil {
		s.l.Close()
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Drop()
	s.work.Wait()
}

func (s *Server) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.Serve(c)
	}
}

// Serve serves one client until it or the server ends.
func (s *Server) Serve(c net.Conn) {
	x := &session{Server: s, raw: c, c: c, r: bufio.NewReader(c)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return
	}
	s.conns[x] = true
	s.work.Go(func() {
		x.serve()
		c.Close()
		s.mu.Lock()
		delete(s.conns, x)
		s.mu.Unlock()
	})
}

// session is one client.
type session struct {
	*Server
	raw net.Conn
	r   *bufio.Reader

	wmu  sync.Mutex // guards c and the order of what is written
	c    net.Conn
	box  *box // needs mu; nil: none is selected
	idle bool // needs mu
	told int  // how many mails the client knows of; needs mu
}

func (x *session) serve() {
	if x.o.Implicit {
		x.c = tls.Server(x.raw, x.o.TLS)
		x.r = bufio.NewReader(x.c)
	}
	tag, line := "", ""
	for {
		reply, scripted := x.scripted(line)
		if !scripted || reply.Own {
			own := x.obey(tag, line)
			x.mu.Lock()
			twist := x.twist
			x.mu.Unlock()
			if twist != nil {
				own.Octets = twist(line, own.Octets)
			}
			reply.Octets += own.Octets
			reply.Cut = reply.Cut || own.Cut
		}
		if !x.send(tag, reply) {
			return
		}
		if line == "STARTTLS" && (!scripted || reply.Own) && x.o.TLS != nil {
			x.c = tls.Server(x.raw, x.o.TLS)
			x.r = bufio.NewReader(x.c)
		}
		text, err := x.r.ReadString('\n')
		if err != nil {
			return
		}
		text = strings.TrimRight(text, "\r\n")
		if first, rest, spaced := strings.Cut(text, " "); spaced && !continues(reply.Octets) {
			tag, line = first, rest
		} else {
			line = text // DONE, or the octets of a SASL exchange
		}
		x.mu.Lock()
		x.commands = append(x.commands, line)
		x.mu.Unlock()
	}
}

// continues reports whether an answer asks for more and is not at its end, so that
// what follows is no command.
func continues(octets string) (more bool) {
	for line := range strings.Lines(octets) {
		switch line[0] {
		case '+':
			more = true
		case '$':
			more = false
		}
	}
	return more
}

func (x *session) scripted(line string) (Reply, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.script.Take(line, Keyword(line))
}

// Keyword is the name of a command: its first word, or two after UID; a UID FETCH
// of mails is "UID FETCH BODY".
func Keyword(line string) string {
	words := strings.SplitN(line, " ", 3)
	switch {
	case words[0] != "UID" || len(words) < 3:
		return words[0]
	case words[1] == "FETCH" && strings.Contains(words[2], "BODY"):
		return "UID FETCH BODY"
	}
	return "UID " + words[1]
}

// send reports whether the session goes on.
func (x *session) send(tag string, r Reply) bool {
	x.wmu.Lock()
	defer x.wmu.Unlock()
	r.Octets = withTag(tag, r.Octets)
	return r.Send(x.c, x.r)
}

// correlated is the beginning of an ESEARCH response before its tag is known.
const correlated = `(TAG "%T")`

func withTag(tag, octets string) string {
	var b strings.Builder
	for line := range strings.Lines(octets) {
		switch {
		case strings.HasPrefix(line, "$$"):
			line = line[1:]
		case strings.HasPrefix(line, "$"):
			line = tag + line[1:]
		}
		b.WriteString(line)
	}
	return strings.ReplaceAll(b.String(), correlated, `(TAG "`+tag+`")`)
}
