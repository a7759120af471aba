package demo

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"time"
)

// maxRefusals is how many wrong passwords end a connection.
const maxRefusals = 3

// pop3Session is one client.
type pop3Session struct {
	server *pop3Server
	conn   net.Conn
	r      *bufio.Reader
	w      *bufio.Writer

	user     string
	refusals int
	signedIn bool
	mails    []*stored // what the session sees; numbers are indices plus one
	deleted  map[*stored]bool
	quit     bool // QUIT was obeyed: deletions happen
}

// run obeys commands until QUIT or until the connection is of no use.
func (x *pop3Session) run() {
	x.conn.SetDeadline(time.Now().Add(signIn))
	x.ok("POP3 server ready")
	for {
		if x.flush() != nil {
			return
		}
		c, err := readCommand(x.r)
		switch {
		case errors.Is(err, errNotACommand):
			x.refuse(err.Error())
		case errors.Is(err, errLineTooLong):
			x.refuse(err.Error())
			x.w.Flush()
			return
		case err != nil:
			return
		default:
			if x.signedIn {
				x.conn.SetReadDeadline(time.Now().Add(autologout))
				x.conn.SetWriteDeadline(time.Now().Add(replying))
			}
			if !x.obey(c) {
				return
			}
		}
	}
}

// flush sends the replies, unless more commands are here already: the replies
// to commands sent together go together (RFC 2449 section 6.6).
func (x *pop3Session) flush() error {
	if waiting, _ := x.r.Peek(x.r.Buffered()); bytes.IndexByte(waiting, '\n') >= 0 {
		return nil
	}
	return x.w.Flush()
}

// leave ends the session. Without QUIT nothing is deleted (RFC 1939 section 6).
func (x *pop3Session) leave() {
	if !x.signedIn {
		return
	}
	if !x.quit {
		clear(x.deleted)
	}
	x.server.drop.unlock(x.deleted)
	x.signedIn = false
}

// obey reports whether the session goes on.
func (x *pop3Session) obey(c command) bool {
	switch c.word {
	case "CAPA":
		x.capa()
		return true
	case "QUIT":
		return x.obeyQuit()
	}
	if !x.signedIn {
		return x.obeyBefore(c)
	}
	x.obeyAfter(c)
	return true
}

// capa may come at any time (RFC 2449 section 5).
func (x *pop3Session) capa() {
	x.ok("Capability list follows")
	for _, capability := range []string{"TOP", "USER", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "IMPLEMENTATION postferry-demo"} {
		fmt.Fprintf(x.w, "%s\r\n", capability)
	}
	x.w.WriteString(".\r\n")
}

// obeyBefore is the AUTHORIZATION state (RFC 1939 section 4).
func (x *pop3Session) obeyBefore(c command) bool {
	switch c.word {
	case "USER":
		if c.rest == "" {
			x.refuse("USER wants a name")
			return true
		}
		x.user = c.rest
		x.ok("send PASS") // for every name: which ones exist is nobody's business
	case "PASS":
		if x.user == "" {
			x.refuse("USER comes first")
			return true
		}
		return x.signIn(c.rest)
	default:
		x.refuse("sign in with USER and PASS first")
	}
	return true
}

// signIn reports whether the session goes on. The password is the whole rest of
// the line, spaces included (RFC 1939 section 7, PASS).
func (x *pop3Session) signIn(password string) bool {
	a := x.server.account
	right := subtle.ConstantTimeCompare([]byte(x.user), []byte(a.User)) & subtle.ConstantTimeCompare([]byte(password), []byte(a.Password))
	x.user = ""
	if right != 1 {
		x.refusals++
		x.refuse("[AUTH] user or password is wrong") // RFC 3206 section 5
		if x.refusals < maxRefusals {
			return true
		}
		x.w.Flush()
		return false
	}
	mails, free := x.server.drop.lock()
	if !free {
		x.refuse("[IN-USE] another session has the maildrop") // RFC 2449 section 8.1.2
		return true
	}
	x.mails, x.deleted, x.signedIn = mails, map[*stored]bool{}, true
	x.conn.SetDeadline(time.Time{})
	x.conn.SetReadDeadline(time.Now().Add(autologout))
	x.conn.SetWriteDeadline(time.Now().Add(replying))
	n, octets := x.total()
	x.ok("%s's maildrop has %d messages (%d octets)", a.User, n, octets)
	return true
}

// obeyQuit is the UPDATE state, when there was a sign-in (RFC 1939 section 6).
// The mails are gone before the client is told so.
func (x *pop3Session) obeyQuit() bool {
	left, _ := x.total()
	said := "POP3 server signing off"
	if x.signedIn && left == 0 {
		said += " (maildrop empty)"
	} else if x.signedIn {
		said += fmt.Sprintf(" (%d messages left)", left)
	}
	x.quit = true
	x.leave()
	x.ok("%s", said)
	x.w.Flush()
	return false
}

func (x *pop3Session) ok(format string, args ...any) {
	fmt.Fprintf(x.w, "+OK "+format+"\r\n", args...)
}

func (x *pop3Session) refuse(why string) { fmt.Fprintf(x.w, "-ERR %s\r\n", why) }

// total counts the mails that are not deleted.
func (x *pop3Session) total() (n, octets int) {
	for _, m := range x.mails {
		if !x.deleted[m] {
			n, octets = n+1, octets+len(m.raw)
		}
	}
	return n, octets
}
