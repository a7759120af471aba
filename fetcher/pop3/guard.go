package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/postferry/postferry/internal/dial"
)

// Limits of what a server may say outside mails.
const (
	maxLine  = 4 << 10 // RFC 2449 section 4 allows 512; some servers explain themselves at length
	maxCapa  = 1000    // lines of capabilities
	maxMails = 1 << 20 // mails in a maildrop
	bufSize  = 64 << 10
)

// violation is something the protocol does not allow.
type violation struct{ text string }

func (v *violation) Error() string { return v.text }

func violatef(format string, args ...any) error { return &violation{fmt.Sprintf(format, args...)} }

// refusal is an -ERR in the server's words, in which credentials are masked.
type refusal struct {
	text string
	code string // the extended response code, see codeOf
}

func (r *refusal) Error() string {
	if r.text == "" {
		return "-ERR"
	}
	return "-ERR " + dial.Printable(r.text)
}

// guard is the net.Conn below go-pop3. A Read gives at most one line, which has
// been checked, so the library holds nothing that belongs to the next reply. Its
// buffer is the only one; RETR is read from it directly. Errors are sticky.
type guard struct {
	connection
	r       *bufio.Reader
	pending []byte // of a checked line, not yet read by the library
	next    func() ([]byte, error)
	lines   lineCheck // of the listing that is expected, or nil
	left    int       // lines it may still have
	quiet   bool      // they are for the check alone: the library sees none of them
	refused *refusal  // the last reply, if it was an -ERR
	heard   *string   // where the words of the next reply go too, or nil
	hide    *dial.Hider
	err     error
}

// lineCheck says whether a line, without CRLF, may stand in a listing.
type lineCheck func(line []byte) error

// newGuard makes a guard that takes what hide finds out of refusals.
func newGuard(c connection, hide *dial.Hider) *guard {
	g := &guard{connection: c, r: bufio.NewReaderSize(c, bufSize), hide: hide}
	g.next = g.status
	return g
}

// expect prepares for one reply: a status line, and where lines is not nil and
// the status is +OK, at most n lines that pass it.
func (g *guard) expect(lines lineCheck, n int) {
	g.next, g.lines, g.left, g.quiet, g.refused = g.status, lines, n, false, nil
	if g.err == nil && len(g.pending) > 0 {
		g.err = violatef("a reply was not read to its end")
	}
	if g.err == nil && g.r.Buffered() > 0 {
		g.err = violatef("the server sent %q before it was asked", g.peek())
	}
}

// collect is expect for lines that are for take alone: the library, which would keep
// all of them, is given none.
func (g *guard) collect(take lineCheck, n int) {
	g.expect(take, n)
	g.quiet = true
}

// Read implements net.Conn for the library.
func (g *guard) Read(p []byte) (int, error) {
	if len(g.pending) == 0 {
		if g.err != nil {
			return 0, g.err
		}
		if g.pending, g.err = g.next(); g.err != nil {
			g.pending = nil
			return 0, g.err
		}
	}
	n := copy(p, g.pending)
	g.pending = g.pending[n:]
	return n, nil
}

// Write implements net.Conn for the library: a command at a time.
func (g *guard) Write(p []byte) (int, error) {
	n, err := g.connection.Write(p)
	passSent(p)
	return n, err
}

// status reads the first line of a reply (RFC 1939 section 3).
func (g *guard) status() ([]byte, error) {
	line, err := g.line()
	if err != nil {
		return nil, err
	}
	text, err := g.parse(line)
	g.note(text)
	g.next = g.nothing
	if errors.As(err, &g.refused) {
		return []byte(g.refused.Error() + "\r\n"), nil
	}
	if err != nil {
		return nil, err
	}
	if g.lines != nil {
		g.next = g.listing
	}
	return append([]byte("+OK "+text), "\r\n"...), nil
}

// listing reads a further line of a multi-line reply.
func (g *guard) listing() ([]byte, error) {
	for {
		line, err := g.line()
		if err != nil {
			return nil, err
		}
		if string(line) == "." {
			g.next = g.nothing
			return []byte(".\r\n"), nil
		}
		if g.left--; g.left < 0 {
			return nil, violatef("the server lists more than it has counted")
		}
		if err := g.lines(bytes.TrimPrefix(line, []byte("."))); err != nil {
			return nil, err
		}
		if !g.quiet {
			return append(bytes.Clone(line), "\r\n"...), nil
		}
	}
}

// nothing is what follows a reply.
func (g *guard) nothing() ([]byte, error) {
	return nil, violatef("more was read than the reply")
}

// line reads a line that ends in CRLF, and gives it without.
func (g *guard) line() ([]byte, error) { return readLine(g.r) }

func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case len(line) > maxLine || errors.Is(err, bufio.ErrBufferFull):
		return nil, violatef("the server sent a line of more than %d octets", maxLine)
	case err == io.EOF:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	case !bytes.HasSuffix(line, []byte("\r\n")):
		return nil, violatef("the line %q does not end in CRLF", printable(string(line)))
	}
	return line[:len(line)-2], nil
}

// parse is parseStatus, with a refusal that is harmless to show.
func (g *guard) parse(line []byte) (text string, err error) {
	text, err = parseStatus(line)
	if refused, ok := err.(*refusal); ok {
		refused.text = g.hide.Clean(text)
	}
	return text, err
}

// parseStatus takes a status line apart: nil for +OK, a *refusal for -ERR (RFC
// 1939 section 3: in upper case), a *violation for all else.
func parseStatus(line []byte) (text string, err error) {
	word, text, _ := strings.Cut(string(line), " ")
	switch word {
	case "+OK":
		return text, nil
	case "-ERR":
		return text, &refusal{text, codeOf(text)}
	}
	return "", violatef("%q is neither +OK nor -ERR", printable(string(line)))
}

// reply reads a status line for a command that does not go through the library.
func (g *guard) reply() error {
	if g.err != nil {
		return g.err
	}
	line, err := g.line()
	if err != nil {
		g.err = err
		return err
	}
	text, err := g.parse(line)
	g.note(text)
	if v, ok := errors.AsType[*violation](err); ok {
		g.err = v
	}
	return err
}

// note passes on the words of a reply.
func (g *guard) note(text string) {
	if g.heard != nil {
		*g.heard, g.heard = text, nil
	}
}

// peek shows the beginning of what is buffered.
func (g *guard) peek() string {
	b, _ := g.r.Peek(min(g.r.Buffered(), 80))
	return printable(string(b))
}

func printable(s string) string { return dial.Printable(s) }

// dialer gives go-pop3 the connection that is there.
type dialer struct{ *guard }

// Dial implements the library's Dialer.
func (d dialer) Dial(string, string) (net.Conn, error) { return d.guard, nil }
