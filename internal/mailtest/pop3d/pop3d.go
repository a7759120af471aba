// Package pop3d is a POP3 server for tests that says what it is told to say. It
// holds one maildrop and obeys RFC 1939; a Script replaces single replies by
// others, octet for octet, by silence, or by the end of the connection:
//
//	s := pop3d.Start(t, pop3d.Script{"UIDL": pop3d.Say("-ERR no\r\n")}, mails...)
//
// It speaks plain text on loopback, and TLS after STLS when a certificate is
// given with StartTLS. Any user may sign in with any password.
package pop3d

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Reply is what the server does in place of its own reply.
type Reply struct {
	Octets  string // sent as they are
	Endless string // then repeated until the client goes away
	Cut     bool   // then the connection is closed
	Silent  bool   // then nothing more is ever said
}

// Say replies with these octets and goes on.
func Say(octets string) Reply { return Reply{Octets: octets} }

// Cut sends these octets and closes the connection.
func Cut(octets string) Reply { return Reply{Octets: octets, Cut: true} }

// Silence sends these octets and then nothing more.
func Silence(octets string) Reply { return Reply{Octets: octets, Silent: true} }

// Endless sends these octets, and then others again and again.
func Endless(octets, again string) Reply { return Reply{Octets: octets, Endless: again} }

// Script maps a command line, such as "RETR 2", or its keyword alone, to what
// replaces its reply. "" is the greeting. The longer name goes first.
type Script map[string]Reply

// Server is a running server.
type Server struct {
	Host string // 127.0.0.1
	Port string

	script Script
	tls    *tls.Config
	l      net.Listener
	work   sync.WaitGroup

	mu       sync.Mutex
	mails    [][]byte // nil once deleted
	commands []string
	conns    map[net.Conn]bool
}

// Start serves the mails until the test ends. Their unique-ids are u1, u2 and so
// on.
func Start(t testing.TB, script Script, mails ...[]byte) *Server {
	t.Helper()
	return StartTLS(t, nil, script, mails...)
}

// StartTLS is Start with a certificate for STLS.
func StartTLS(t testing.TB, config *tls.Config, script Script, mails ...[]byte) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{script: script, tls: config, l: l, mails: slices.Clone(mails), conns: map[net.Conn]bool{}}
	s.Host, s.Port, _ = net.SplitHostPort(l.Addr().String())
	s.work.Go(s.accept)
	t.Cleanup(s.stop)
	return s
}

// Commands are the lines all clients have sent so far.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
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
			s.conns[c] = true
			s.work.Go(func() { defer c.Close(); s.serve(c) })
		}
		s.mu.Unlock()
	}
}

// session is one client.
type session struct {
	*Server
	c       net.Conn
	r       *bufio.Reader
	deleted map[int]bool
}

func (s *Server) serve(c net.Conn) {
	x := &session{Server: s, c: c, r: bufio.NewReader(c), deleted: map[int]bool{}}
	for line, more := "", true; more; {
		reply, scripted := x.scripted(line)
		if !scripted {
			reply = x.obey(line)
		}
		if !x.send(reply) {
			return
		}
		if !scripted && line == "STLS" && s.tls != nil {
			x.c = tls.Server(x.c, s.tls)
			x.r = bufio.NewReader(x.c)
		}
		text, err := x.r.ReadString('\n')
		line = strings.TrimRight(text, "\r\n")
		if more = err == nil; more {
			s.mu.Lock()
			s.commands = append(s.commands, line)
			s.mu.Unlock()
		}
	}
}

func (x *session) scripted(line string) (Reply, bool) {
	if r, ok := x.script[line]; ok {
		return r, true
	}
	word, _, _ := strings.Cut(line, " ")
	r, ok := x.script[word]
	return r, ok
}

// send reports whether the session goes on.
func (x *session) send(r Reply) bool {
	if _, err := io.WriteString(x.c, r.Octets); err != nil {
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

// obey is what RFC 1939 and RFC 2449 say.
func (x *session) obey(line string) Reply {
	word, arg, _ := strings.Cut(line, " ")
	x.mu.Lock()
	defer x.mu.Unlock()
	switch word {
	case "":
		return Say("+OK ready\r\n")
	case "CAPA":
		return Say("+OK\r\nUIDL\r\nPIPELINING\r\n.\r\n")
	case "STLS":
		if x.tls == nil {
			return Say("-ERR no TLS here\r\n")
		}
		return Say("+OK\r\n")
	case "USER", "PASS", "NOOP":
		return Say("+OK\r\n")
	case "STAT":
		n, size := 0, 0
		x.each(func(_ int, m []byte) { n, size = n+1, size+len(m) })
		return Say(fmt.Sprintf("+OK %d %d\r\n", n, size))
	case "LIST":
		return x.listing(func(i int, m []byte) string { return fmt.Sprintf("%d %d", i, len(m)) })
	case "UIDL":
		return x.listing(func(i int, _ []byte) string { return fmt.Sprintf("%d u%d", i, i) })
	case "RETR", "DELE":
		i, _ := strconv.Atoi(arg)
		if i < 1 || i > len(x.mails) || x.mails[i-1] == nil || x.deleted[i] {
			return Say("-ERR no such message\r\n")
		}
		if word == "RETR" {
			return Say("+OK\r\n" + Stuff(x.mails[i-1]))
		}
		x.deleted[i] = true
		return Say("+OK\r\n")
	case "QUIT":
		for i := range x.deleted {
			x.mails[i-1] = nil
		}
		return Cut("+OK\r\n")
	}
	return Say("-ERR unknown command\r\n")
}

func (x *session) each(f func(i int, m []byte)) {
	for i, m := range x.mails {
		if m != nil && !x.deleted[i+1] {
			f(i+1, m)
		}
	}
}

func (x *session) listing(f func(i int, m []byte) string) Reply {
	var b strings.Builder
	b.WriteString("+OK\r\n")
	x.each(func(i int, m []byte) { b.WriteString(f(i, m) + "\r\n") })
	return Say(b.String() + ".\r\n")
}

// Stuff is a mail as RETR sends it: byte-stuffed and with its end (RFC 1939
// section 3). A mail that does not end in CRLF gains one.
func Stuff(mail []byte) string {
	out := bytes.ReplaceAll(append([]byte("\r\n"), mail...), []byte("\r\n."), []byte("\r\n.."))[2:]
	if len(out) > 0 && !bytes.HasSuffix(out, []byte("\r\n")) {
		out = append(out, "\r\n"...)
	}
	return string(out) + ".\r\n"
}
