package pop3d

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/postferry/postferry/internal/mailtest/script"
)

// obey is what RFC 1939, RFC 2449 and RFC 5034 say.
func (x *session) obey(line string) Reply {
	word, arg, _ := strings.Cut(line, " ")
	if word == "AUTH" {
		return x.auth(arg)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	switch word {
	case "":
		if x.o.Greeting != "" {
			return Say("+OK " + x.o.Greeting + "\r\n")
		}
		return Say("+OK ready\r\n")
	case "CAPA":
		return x.capa()
	case "STLS":
		if x.o.TLS == nil {
			return errorf("no TLS here")
		}
		return Say("+OK\r\n")
	case "USER", "NOOP":
		return Say("+OK\r\n")
	case "PASS":
		return x.welcome(x.o.Password == "" || arg == x.o.Password)
	case "APOP":
		_, digest, _ := strings.Cut(arg, " ")
		stamp := x.o.Greeting[max(0, strings.Index(x.o.Greeting, "<")):]
		sum := md5.Sum([]byte(stamp + x.o.Password))
		return x.welcome(digest == hex.EncodeToString(sum[:]))
	case "STAT":
		n, size := 0, 0
		x.each(func(_, _ int, m []byte) { n, size = n+1, size+len(m) })
		return Say(fmt.Sprintf("+OK %d %d\r\n", n, size))
	case "LIST":
		return x.listing(func(n, _ int, m []byte) string { return fmt.Sprintf("%d %d", n, len(m)) })
	case "UIDL":
		if x.o.NoUIDL {
			return errorf("unknown command")
		}
		return x.listing(func(n, i int, m []byte) string { return fmt.Sprintf("%d %s", n, x.uid(i+1, m)) })
	case "RETR", "DELE", "TOP":
		return x.mail(word, arg)
	case "RSET":
		x.deleted = map[int]bool{}
		return Say("+OK\r\n")
	case "QUIT":
		x.quit = true
		x.commit()
		return Cut("+OK\r\n")
	}
	return errorf("unknown command")
}

func (x *session) welcome(right bool) Reply {
	if !right {
		return errorf("[AUTH] no")
	}
	return Say("+OK\r\n")
}

func (x *session) capa() Reply {
	lines := x.o.Capa
	switch {
	case lines == nil:
		lines = []string{"PIPELINING"}
		if !x.o.NoUIDL {
			lines = append(lines, "UIDL")
		}
		if !x.o.NoTOP {
			lines = append(lines, "TOP")
		}
	case len(lines) == 0:
		return errorf("unknown command")
	}
	lines = slices.Clone(lines)
	if len(x.o.SASL) > 0 {
		lines = append(lines, "SASL "+strings.Join(slices.Sorted(maps.Keys(x.o.SASL)), " "))
	}
	return Say("+OK\r\n" + strings.Join(lines, "\r\n") + "\r\n.\r\n")
}

func (x *session) uid(i int, mail []byte) string {
	if x.o.UID != nil {
		return x.o.UID(i, mail)
	}
	return fmt.Sprintf("u%d", i)
}

// mail is RETR, DELE and TOP.
func (x *session) mail(word, arg string) Reply {
	first, _, _ := strings.Cut(arg, " ")
	n, _ := strconv.Atoi(first)
	if n < 1 || n > len(x.shown) || x.mails[x.shown[n-1]] == nil || x.deleted[x.shown[n-1]] || word == "TOP" && x.o.NoTOP {
		return errorf("no such message")
	}
	i := x.shown[n-1]
	mail := x.mails[i]
	if word == "TOP" {
		header, _, _ := bytes.Cut(mail, []byte("\r\n\r\n"))
		return Say("+OK\r\n" + Stuff(append(bytes.Clone(header), "\r\n\r\n"...)))
	}
	if x.done++; x.o.Hangs > 0 && x.done > x.o.Hangs {
		return Cut("")
	}
	if word == "RETR" {
		x.seen[i] = true
		return Say("+OK\r\n" + Stuff(mail))
	}
	x.deleted[i] = true
	return Say("+OK\r\n")
}

// each visits the mails of the session: message number, place in the maildrop.
func (x *session) each(f func(n, i int, m []byte)) {
	for n, i := range x.shown {
		if m := x.mails[i]; m != nil && !x.deleted[i] {
			f(n+1, i, m)
		}
	}
}

func (x *session) listing(f func(n, i int, m []byte) string) Reply {
	var b strings.Builder
	b.WriteString("+OK\r\n")
	x.each(func(n, i int, m []byte) { b.WriteString(f(n, i, m) + "\r\n") })
	return Say(b.String() + ".\r\n")
}

// auth is a SASL exchange. What clients answer is among the commands, too.
func (x *session) auth(arg string) Reply {
	name, initial, inline := strings.Cut(arg, " ")
	mechanism := x.o.SASL[strings.ToUpper(name)]
	if mechanism == nil {
		return errorf("unknown mechanism")
	}
	v := mechanism.Exchange(initial, inline, func(challenge string) (string, bool) {
		if !x.send(Say("+ " + challenge + "\r\n")) {
			return "", false
		}
		line, more := x.line()
		if more {
			x.note(line)
		}
		return line, more
	})
	switch v {
	case script.Accept:
		return Say("+OK\r\n")
	case script.Refuse:
		return errorf("[AUTH] no")
	case script.Cancelled:
		return errorf("as you wish")
	}
	return Cut("")
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
