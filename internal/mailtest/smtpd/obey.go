package smtpd

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/postferry/postferry/internal/mailtest/script"
)

// obey is what RFC 5321, RFC 3207 and RFC 4954 say.
func (x *session) obey(line string) Reply {
	word, arg, _ := strings.Cut(line, " ")
	switch strings.ToUpper(word) {
	case "":
		return Say("220 smtpd.test ESMTP\r\n")
	case "EHLO":
		x.mail = nil
		return x.extensions()
	case "HELO":
		x.mail = nil
		return Say("250 smtpd.test\r\n")
	case "STARTTLS":
		if x.o.TLS == nil || x.secure {
			return Say("502 5.5.1 no TLS here\r\n")
		}
		return Say("220 2.0.0 ready for TLS\r\n")
	case "AUTH":
		return x.auth(arg)
	case "MAIL":
		return x.from(arg)
	case "RCPT":
		to, _, ok := path(arg, "TO:")
		if !ok || x.mail == nil {
			return Say("503 5.5.1 need MAIL\r\n")
		}
		x.mail.To = append(x.mail.To, to)
		return Say("250 2.1.5 Ok\r\n")
	case "DATA":
		if x.mail == nil || len(x.mail.To) == 0 {
			return Say("554 5.5.1 no valid recipients\r\n")
		}
		return Say("354 go ahead\r\n")
	case ".":
		x.mu.Lock()
		x.mails = append(x.mails, *x.mail)
		x.notify()
		x.mu.Unlock()
		x.mail = nil
		return Say("250 2.0.0 Ok: queued as 4F2A\r\n")
	case "RSET":
		x.mail = nil
		return Say("250 2.0.0 Ok\r\n")
	case "NOOP":
		return Say("250 2.0.0 Ok\r\n")
	case "QUIT":
		return Cut("221 2.0.0 Bye\r\n")
	}
	return Say("500 5.5.2 unknown command\r\n")
}

func (x *session) extensions() Reply {
	lines := x.o.Ext
	if lines == nil {
		lines = []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "SIZE 10000000"}
	}
	lines = append([]string{"smtpd.test"}, lines...)
	if x.o.TLS != nil && !x.secure {
		lines = append(lines, "STARTTLS")
	}
	if len(x.o.SASL) > 0 && (x.secure || x.o.TLS == nil) {
		lines = append(lines, "AUTH "+strings.Join(slices.Sorted(maps.Keys(x.o.SASL)), " "))
	}
	return Say("250-" + strings.Join(lines[:len(lines)-1], "\r\n250-") + "\r\n250 " + lines[len(lines)-1] + "\r\n")
}

func (x *session) from(arg string) Reply {
	from, params, ok := path(arg, "FROM:")
	switch {
	case !ok || x.mail != nil:
		return Say("503 5.5.1 not now\r\n")
	case x.o.Required && x.signed == "":
		return Say("530 5.7.0 sign in first\r\n")
	}
	x.mail = &Mail{From: from, Params: params, As: x.signed, TLS: x.secure}
	return Say("250 2.1.0 Ok\r\n")
}

// path reads TO:<address> and what follows.
func path(arg, name string) (address, params string, ok bool) {
	if len(arg) < len(name) || !strings.EqualFold(arg[:len(name)], name) {
		return "", "", false
	}
	address, params, ok = strings.Cut(strings.TrimPrefix(strings.TrimSpace(arg[len(name):]), "<"), ">")
	return address, strings.TrimSpace(params), ok
}

// data reads a mail to its end, as this server sees it.
func (x *session) data() bool {
	stop, stops := x.scripted("body")
	var all []byte
	for {
		c, err := x.r.ReadByte()
		if err != nil {
			return false
		}
		all = append(all, c)
		if stops && len(all) >= x.o.BodyStop {
			if !x.send(stop) {
				return false
			}
			stops = false
		}
		if text, ended := x.o.Ends.ended(all); ended {
			x.mail.Data = text
			if c == '\r' && x.isNext('\n') {
				_, _ = x.r.ReadByte() // of the same end
			}
			return true
		}
	}
}

// isNext waits for the next octet and tells whether it is this one.
func (x *session) isNext(c byte) bool {
	next, err := x.r.Peek(1)
	return err == nil && next[0] == c
}

// ended tells whether the octets end in a line that is a dot, and gives the mail
// before it.
func (e Ends) ended(all []byte) (mail []byte, ended bool) {
	if n := len(all); n > 2 && all[n-2] != '.' && all[n-3] != '.' {
		return nil, false
	}
	for _, end := range e.ends() {
		rest, ok := bytes.CutSuffix(all, []byte(end))
		if !ok {
			continue
		}
		if rest, ok = bytes.CutSuffix(rest, []byte(".")); !ok {
			continue
		}
		if len(rest) == 0 {
			return rest, true
		}
		for _, before := range e.ends() {
			if bytes.HasSuffix(rest, []byte(before)) {
				return unstuff(rest), true
			}
		}
	}
	return nil, false
}

func (e Ends) ends() []string {
	return []string{"\r\n", "\n", "\r", "\x00"}[:e+1]
}

// unstuff takes the dots off that the client has put before those at the
// beginning of lines.
func unstuff(data []byte) []byte {
	out := bytes.ReplaceAll(append([]byte("\r\n"), data...), []byte("\r\n.."), []byte("\r\n."))
	return out[2:]
}

// auth is a SASL exchange. What clients answer is among the commands, too.
func (x *session) auth(arg string) Reply {
	name, initial, inline := strings.Cut(arg, " ")
	mechanism := x.o.SASL[strings.ToUpper(name)]
	if mechanism == nil {
		return Say("504 5.5.4 unknown mechanism\r\n")
	}
	v := mechanism.Exchange(initial, inline, func(challenge string) (string, bool) {
		if !x.send(Say("334 " + challenge + "\r\n")) {
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
		x.signed = strings.ToUpper(name)
		return Say("235 2.7.0 welcome\r\n")
	case script.Refuse:
		return Say("535 5.7.8 no\r\n")
	case script.Cancelled:
		return Say("501 5.7.0 as you wish\r\n")
	}
	return Cut("")
}
