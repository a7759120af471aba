package submit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/postferry/postferry/internal/dial"
)

// Limits of what a server may say in one reply.
const (
	maxLine  = 4 << 10 // RFC 5321 section 4.5.3.1.5 allows 512; some servers explain themselves at length
	maxLines = 256
	bufSize  = 32 << 10
)

// violation is something the protocol does not allow.
type violation struct{ text string }

func (v *violation) Error() string { return v.text }

func violatef(format string, args ...any) error { return &violation{fmt.Sprintf(format, args...)} }

// connection is what a *dial.Conn does.
type connection interface {
	net.Conn
	Upgrade(ctx context.Context, config *tls.Config, buffered ...byte) error
}

// guard is the net.Conn below go-smtp. What the library writes waits until an
// answer is wanted. A Read gives one reply, which has been bounded and checked, so
// the library holds nothing that belongs to the next. Errors are sticky.
type guard struct {
	connection
	r       *bufio.Reader
	w       *bufio.Writer
	step    Step        // what is being done
	hide    *dial.Hider // of the secrets that the server may repeat
	pending []byte      // of a checked reply, not yet read by the library
	last    Reply       // what the server said last
	lines   []string    // and its lines, without code
	first   string      // and the first of them, nothing masked: the challenge of a sign-in
	err     error
}

func newGuard(c connection, hide *dial.Hider) *guard {
	return &guard{connection: c, r: bufio.NewReaderSize(c, bufSize), w: bufio.NewWriterSize(c, bufSize), hide: hide}
}

// Write implements net.Conn for the library.
func (g *guard) Write(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.w.Write(p)
	if err != nil {
		g.err = err
	}
	return n, err
}

// Read implements net.Conn for the library.
func (g *guard) Read(p []byte) (int, error) {
	if len(g.pending) == 0 {
		if err := g.reply(); err != nil {
			return 0, err
		}
		g.pending = g.canonical()
	}
	n := copy(p, g.pending)
	g.pending = g.pending[n:]
	return n, nil
}

// flush sends what was written.
func (g *guard) flush() error {
	if g.err == nil && g.w.Buffered() > 0 {
		if g.err = g.w.Flush(); g.err == nil {
			passed(g.step, sent)
		}
	}
	return g.err
}

// command sends a line that does not go through the library, and reads the reply.
func (g *guard) command(line string) error {
	if _, err := io.WriteString(g, line+"\r\n"); err != nil {
		return err
	}
	return g.reply()
}

// quiet tells of a server that speaks without having been asked: what it says
// would be taken for the answer to the next command. Only 421 may come at any time
// (RFC 5321 section 3.8).
func (g *guard) quiet() error {
	if g.err == nil && len(g.pending) > 0 {
		g.err = violatef("a reply was not read to its end")
	}
	if n := g.r.Buffered(); g.err == nil && n > 0 {
		if said, _ := g.r.Peek(min(n, 80)); !bytes.HasPrefix(said, []byte("421")) {
			g.err = violatef("the server sent %q before it was asked", printable(string(said)))
		}
	}
	return g.err
}

// reply sends what was written and reads the answer, which is in last then.
func (g *guard) reply() error {
	if err := g.flush(); err != nil {
		return err
	}
	code, lines, err := readReply(g.r)
	if err != nil {
		g.err = err
		return err
	}
	passed(g.step, answered)
	g.first = lines[0]
	for i, l := range lines {
		lines[i] = g.hide.Clean(l)
	}
	g.lines, g.last = lines, newReply(code, lines)
	return nil
}

// readReply reads all lines of a reply, without their codes.
func readReply(r *bufio.Reader) (code int, lines []string, err error) {
	for more := true; more; {
		line, err := readLine(r)
		if err != nil {
			return 0, nil, err
		}
		n, text, continued, err := parseLine(line)
		switch {
		case err != nil:
			return 0, nil, err
		case len(lines) > 0 && n != code:
			return 0, nil, violatef("a reply begins with %d and goes on with %d", code, n)
		case len(lines) == maxLines:
			return 0, nil, violatef("the server sent a reply of more than %d lines", maxLines)
		}
		code, lines, more = n, append(lines, text), continued
	}
	return code, lines, nil
}

// readLine reads a line and gives it without its end. Some servers end lines by LF
// alone.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case len(line) > maxLine || errors.Is(err, bufio.ErrBufferFull):
		return "", violatef("the server sent a line of more than %d octets", maxLine)
	case err == io.EOF:
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	}
	return string(bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))), nil
}

// parseLine takes a line of a reply apart. One that is a code alone is the last,
// as RFC 5321 section 4.2.1 wants it tolerated.
func parseLine(line string) (code int, text string, continued bool, err error) {
	if len(line) >= 3 && '2' <= line[0] && line[0] <= '5' && isDigit(line[1]) && isDigit(line[2]) {
		code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
		switch {
		case len(line) == 3:
			return code, "", false, nil
		case line[3] == ' ' || line[3] == '-':
			return code, line[4:], line[3] == '-', nil
		}
	}
	return 0, "", false, violatef("%q is no reply of an SMTP server", printable(line))
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// canonical is the last reply as the library reads it: extensions in upper case,
// since it knows no others, and those of an old AUTH= among those of AUTH.
func (g *guard) canonical() []byte {
	var lines []string
	auth := -1
	for i, l := range g.lines {
		if i > 0 {
			word, rest, _ := strings.Cut(strings.TrimSpace(l), " ")
			word = strings.ToUpper(word)
			if mechanism, old := strings.CutPrefix(word, "AUTH="); old {
				word, rest = "AUTH", mechanism+" "+rest
			}
			if word == "AUTH" && auth >= 0 {
				lines[auth] += " " + rest
				continue
			}
			if word == "AUTH" {
				auth = len(lines)
			}
			l = word + " " + rest
		}
		lines = append(lines, l)
	}
	var b bytes.Buffer
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		fmt.Fprintf(&b, "%d%s%s\r\n", g.last.Code, sep, strings.TrimSpace(l[:min(len(l), 1000)]))
	}
	return b.Bytes()
}

// offers finds an extension in the last reply, which answers EHLO.
func (g *guard) offers(name string) bool {
	return slices.ContainsFunc(g.lines[min(1, len(g.lines)):], func(l string) bool {
		word, _, _ := strings.Cut(strings.TrimSpace(l), " ")
		return strings.EqualFold(word, name)
	})
}

func printable(s string) string { return dial.Printable(s) }
