package imap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what one response may hold.
const (
	maxDepth    = 64                // nested parentheses
	maxResponse = 16 << 20          // octets of one response outside literals: a SEARCH of two million UIDs
	maxStatus   = 1 << 20           // octets of a status response or a continuation request
	maxLiteral  = 64 << 10          // octets of a literal that is not a mail
	maxBody     = DefaultMaxOctets  // octets of a literal that is a mail
	leastLine   = 64                // what a shorter line counts as
	maxLines    = 64 << 20          // octets outside mails between two tagged responses
	maxAnswer   = maxBody + 256<<20 // octets of literals between two tagged responses, beyond the mails that were wanted
)

// violation is a response that no server that means well sends. It ends the
// connection.
type violation struct{ what string }

func (v *violation) Error() string { return "the server broke the protocol: " + v.what }

func violatef(format string, args ...any) error {
	return &violation{fmt.Sprintf(format, args...)}
}

// guard is the connection that imapclient sees. It cuts the octets from the
// server into responses (RFC 3501 section 7, RFC 9051 section 7) and hands on
// only those that imapclient can read safely:
//
//   - what this program never asks for and a client must ignore (section 2.2.2)
//     is dropped whole: imapclient would close the connection on it;
//   - malformed untagged responses are dropped as long as nothing of them has
//     been passed on; later they are a violation;
//   - nesting, lines, literals and the length of an answer are bounded: a
//     violation closes the connection, and its error stays;
//   - the end of the connection inside a response or literal is
//     io.ErrUnexpectedEOF: imapclient would take a truncated mail for a whole
//     one.
//
// What is passed on is passed on unchanged, and mails run through without being
// looked at. The one exception: of a FETCH response the part after the mail is
// cut down to its closing parenthesis if imapclient could not read it.
//
// Deadlines set by imapclient have no effect: its five minutes for one literal
// would punish a slow disk. watch bounds the server's silence instead.
type guard struct {
	net.Conn
	in inlet

	// What the reading goroutine knows.
	long    []byte // the beginning of a line longer than in's buffer
	out     []byte // octets approved and not yet read by the client
	literal int64  // octets of an approved literal still to pass
	open    state  // what the next line continues
	depth   int    // of open parentheses
	size    int64  // octets of this response outside literals
	lines   int64  // octets outside literals since the last tagged response
	answer  int64  // octets of literals since then

	asked   atomic.Int64           // octets of wanted mail since the last tagged response
	writing atomic.Int64           // when the blocked write began (UnixNano), or 0
	wanted  atomic.Pointer[string] // the item that an answer has, other than news; nil: any
	settled atomic.Bool            // the capabilities are known, and stay what they are

	// Called by the reading goroutine.
	onStatus  func(text string)
	onExists  func(n int64)
	onExpunge func()

	aside atomic.Pointer[aside] // the command of its own under way; nil: none

	mu  sync.Mutex
	err error // the first failure; it stays
}

// state is what the next line of the server continues.
type state int

const (
	fresh    state = iota // nothing: it begins a response
	dropping              // a response that is being dropped
	passing               // a response other than FETCH
	fetching              // a FETCH response
)

// newGuard makes a guard over conn. greeting, if any, is read before the
// server's first octet.
func newGuard(conn net.Conn, greeting string) *guard {
	g := &guard{Conn: conn, out: []byte(greeting)}
	g.in.r = conn
	return g
}

// Read implements net.Conn: approved octets.
func (g *guard) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if err := g.failure(); err != nil {
			return 0, err
		}
		if len(g.out) > 0 {
			n := copy(p, g.out)
			g.out = g.out[n:]
			return n, nil
		}
		if g.literal > 0 {
			n, err := g.in.Read(p[:min(int64(len(p)), g.literal)])
			g.literal -= int64(n)
			if err != nil {
				err = g.fail(unexpected(err))
			}
			return n, err
		}
		switch err := g.next(); err {
		case nil:
		case errMore:
			g.in.fill()
		default:
			return 0, g.fail(err)
		}
	}
	return 0, nil
}

// next approves one line, drops it or returns a violation. It is errMore where no
// whole line has come.
func (g *guard) next() error {
	line, err := g.readLine()
	switch {
	case err == errMore:
		return errMore
	case err == io.EOF && len(line) == 0 && g.open == fresh:
		return io.EOF
	case err != nil:
		return unexpected(err)
	}
	if g.lines += max(int64(len(line)), leastLine); g.lines > maxLines {
		return violatef("more than %d octets without an end of the answer", maxLines)
	}
	switch g.open {
	case fresh:
		g.size, g.depth = int64(len(line)), 0
		return g.begin(line)
	default:
		if g.size += int64(len(line)); g.size > maxResponse {
			return violatef("a response of more than %d octets", maxResponse)
		}
		return g.resume(line)
	}
}

// readLine gives what has come up to the next LF, or errMore. The slice is valid
// until the next read.
func (g *guard) readLine() ([]byte, error) {
	line, err := g.in.ReadSlice()
	for err == bufio.ErrBufferFull {
		g.long = append(g.long, line...)
		if len(g.long) > maxResponse {
			return g.long, violatef("a line of more than %d octets", maxResponse)
		}
		line, err = g.in.ReadSlice()
	}
	if err != errMore && len(g.long) > 0 {
		line, g.long = append(g.long, line...), nil
	}
	return line, err
}

// spend counts octets of literals against what one answer may hold.
func (g *guard) spend(n int64) error {
	if g.answer += n; g.answer > maxAnswer+g.asked.Load() {
		return violatef("more than %d octets without an end of the answer", g.answer-n)
	}
	return nil
}

// pass approves a line, and the literal that follows it.
func (g *guard) pass(line []byte, then state, literal int64) error {
	if literal > 0 {
		if err := g.spend(literal); err != nil {
			return err
		}
		// What is no mail is held, as lines are.
		if then == passing {
			if g.lines += literal; g.lines > maxLines {
				return violatef("more than %d octets without an end of the answer", maxLines)
			}
		}
	}
	g.out, g.literal, g.open = line, max(literal, 0), then
	return nil
}

// drop leaves a line out, and skips the literal that follows it.
func (g *guard) drop(literal int64) error {
	g.open = fresh
	if literal < 0 {
		return nil
	}
	if err := g.spend(literal); err != nil {
		return err
	}
	g.open = dropping
	return unexpected(g.in.discard(literal))
}

// Write implements net.Conn.
func (g *guard) Write(p []byte) (int, error) {
	if err := g.failure(); err != nil {
		return 0, err
	}
	g.writing.Store(time.Now().UnixNano())
	defer g.writing.Store(0)
	n, err := g.Conn.Write(p)
	passSent(p)
	if err != nil {
		err = g.fail(err)
	}
	return n, err
}

// SetDeadline and its sisters do nothing; see watch.
func (g *guard) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (g *guard) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (g *guard) SetWriteDeadline(time.Time) error { return nil }

// fail notes the first failure, closes the connection, and returns it.
func (g *guard) fail(err error) error {
	g.mu.Lock()
	first := g.err == nil
	if first {
		g.err = err
	}
	err = g.err
	g.mu.Unlock()
	if first {
		g.Conn.Close()
	}
	return err
}

// failure is what ended the connection, or nil.
func (g *guard) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// Close implements net.Conn. It is imapclient's to call, or that of a session that
// is over: the error that stays says that no exchange failed.
func (g *guard) Close() error {
	g.fail(net.ErrClosed)
	return nil
}

// unexpected turns the end of the connection into an error; RFC 3501 section
// 7.1.5 asks for BYE, and in the middle of a response nothing may end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
