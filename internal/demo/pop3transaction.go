package demo

import (
	"bytes"
	"fmt"
)

// obeyAfter is the TRANSACTION state (RFC 1939 section 5).
func (x *pop3Session) obeyAfter(c command) {
	switch c.word {
	case "STAT":
		n, octets := x.total()
		x.ok("%d %d", n, octets)
	case "LIST":
		n, octets := x.total()
		x.list(c, fmt.Sprintf("%d messages (%d octets)", n, octets), func(i int, m *stored) string { return fmt.Sprintf("%d %d", i, len(m.raw)) })
	case "UIDL":
		x.list(c, "unique-id listing follows", func(i int, m *stored) string { return fmt.Sprintf("%d %s", i, m.uid) })
	case "RETR":
		if args, ok := x.numbers(c, 1); ok {
			if m := x.mail(args[0]); m != nil {
				x.ok("%d octets", len(m.raw))
				x.send(m.raw)
			}
		}
	case "TOP":
		if args, ok := x.numbers(c, 2); ok {
			if m := x.mail(args[0]); m != nil {
				x.ok("top of message follows")
				x.send(top(m.raw, args[1]))
			}
		}
	case "DELE":
		if args, ok := x.numbers(c, 1); ok {
			if m := x.mail(args[0]); m != nil {
				x.deleted[m] = true
				x.ok("message %d deleted", args[0])
			}
		}
	case "RSET":
		clear(x.deleted)
		n, octets := x.total()
		x.ok("maildrop has %d messages (%d octets)", n, octets)
	case "NOOP":
		x.w.WriteString("+OK\r\n")
	case "USER", "PASS":
		x.refuse("you are signed in already")
	default:
		x.refuse("there is no such command")
	}
}

// list tells of one mail, or of all that are not deleted.
func (x *pop3Session) list(c command, said string, line func(i int, m *stored) string) {
	if c.rest != "" {
		if args, ok := x.numbers(c, 1); ok {
			if m := x.mail(args[0]); m != nil {
				x.ok("%s", line(args[0], m))
			}
		}
		return
	}
	x.ok("%s", said)
	for i, m := range x.mails {
		if !x.deleted[m] {
			fmt.Fprintf(x.w, "%s\r\n", line(i+1, m))
		}
	}
	x.w.WriteString(".\r\n")
}

func (x *pop3Session) numbers(c command, want int) ([]int, bool) {
	args, ok := c.args(want)
	if !ok {
		x.refuse(c.word + " wants " + map[int]string{1: "a message number", 2: "a message number and a count of lines"}[want])
	}
	return args, ok
}

// mail is the mail of that number, or nil after saying that there is none.
func (x *pop3Session) mail(i int) *stored {
	if i < 1 || i > len(x.mails) || x.deleted[x.mails[i-1]] {
		n, _ := x.total()
		x.refuse(fmt.Sprintf("no such message, %d messages in maildrop", n))
		return nil
	}
	return x.mails[i-1]
}

// send writes a mail as a multi-line reply: lines that begin with a dot get
// another, and a dot ends it (RFC 1939 section 3).
func (x *pop3Session) send(raw []byte) {
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n') + 1
		if end == 0 {
			end = len(raw)
		}
		if raw[0] == '.' {
			x.w.WriteByte('.')
		}
		x.w.Write(raw[:end])
		if raw[end-1] != '\n' {
			x.w.WriteString("\r\n")
		}
		raw = raw[end:]
	}
	x.w.WriteString(".\r\n")
}

// top is the header, the empty line and n lines of the body.
func top(raw []byte, n int) []byte {
	end := len(raw)
	if i := bytes.Index(raw, []byte("\r\n\r\n")); i >= 0 {
		end = i + 4
	}
	for ; n > 0 && end < len(raw); n-- {
		i := bytes.IndexByte(raw[end:], '\n')
		if i < 0 {
			return raw
		}
		end += i + 1
	}
	return raw[:end]
}
