package fetcher

import (
	"context"
	"io"
	"time"

	"github.com/postferry/postferry/spool"
)

// Source opens sessions on one configured account.
type Source interface {
	// Open connects, secures and signs in. Its errors are *Error.
	Open(ctx context.Context) (Session, error)
}

// Session is one signed-in connection. It is used by one goroutine at a time;
// when ctx ends, a call that waits for the server returns at once and the
// session is finished.
type Session interface {
	// List tells what the box holds. c is the Cursor of the last List of that box
	// whose result was reconciled, or "". Complete is false when anything limited
	// the listing. A filter decides what is taken, never what is known.
	List(ctx context.Context, box string, c Cursor) (Listing, error)
	// Retrieve fetches the mails and calls take once for each, one after the other,
	// with the exact octets the server holds (CRLF kept, POP3 byte-stuffing removed)
	// and a Ref completed with all the server said (Size, ReceivedAt, Flags). It sets
	// no flag on the server. take reads the Reader to its end before it returns, and
	// an octet stream that was cut short ends in an error, never in io.EOF. If take
	// fails, Retrieve stops and returns that error. A mail that could not be had is
	// left out and reported in an *Error of radius Message, after the others.
	Retrieve(ctx context.Context, refs []Ref, take func(Ref, io.Reader) error) error
	// Settle carries settlements out. nil means that the server has confirmed every
	// one. An error of radius Message joins one *Error with the UID of each mail that
	// the server would not settle; the others are confirmed. On any other error none,
	// some or all may have happened, and all are repeated in a later session: a mail
	// already gone counts as settled. POP3: DELE…, QUIT and its reply; the session is
	// finished by it.
	Settle(ctx context.Context, due []spool.Settlement) error
	// Close ends the session. Without Settle the mailbox is as it was: POP3 closes
	// the connection without QUIT when anything retrieved might be lost by it.
	Close() error
}

// Describer is a session whose listings leave Size (-1), ReceivedAt and Flags out
// and that tells them for chosen mails at little cost.
type Describer interface {
	// Describe fills in refs what the server says of each. A mail that is not there
	// any more, or that the server does not describe, is left as it is.
	Describe(ctx context.Context, refs []Ref) error
}

// Header is a session that can read header blocks without bodies.
type Header interface {
	// Heads gives, for each mail it can, its Ref with Size filled in and its raw
	// header block (RFC 5322 section 2.1), of which spool.HeadLimit octets are
	// enough; it sets no flag on the server. A mail that is not there any more, or
	// whose head the server does not give, is left out. head is valid during the call
	// of give.
	Heads(ctx context.Context, refs []Ref, give func(r Ref, head []byte)) error
}

// Concluder is a session that need not list again what has not changed.
type Concluder interface {
	// Conclude says that of the last listing of box nothing is left to take: until
	// something changes there, List in a later session may say no more than that the
	// box is Unchanged, but for an hour at most.
	Conclude(box string)
}

// Bounded is a session whose server allows only so much in one.
type Bounded interface {
	// Most is how many mails to take in this session at the most, and as many to
	// settle; what is left is for another one. 0 is no bound.
	Most() int
}

// Watcher is a session that can wait for news (IMAP IDLE).
type Watcher interface {
	// Wait returns nil when the server says that box changed, or after the longest
	// time a connection may be trusted in silence; it returns an *Error when the
	// connection fails. When ctx ends, Wait ends the waiting on the server too
	// (IDLE: DONE) and returns ctx.Err(); the session can be used further.
	Wait(ctx context.Context, box string) error
}

// Cursor is what a protocol wants to remember of a listing; opaque to others.
type Cursor string

// Listing is what a box held.
type Listing struct {
	Refs     []Ref
	Complete bool
	Cursor   Cursor
	// Unchanged: the box is as it was when its listing was concluded. There are no
	// Refs, and nothing is to be concluded from that.
	Unchanged bool
}

// Ref names one mail of a box. Message numbers never leave package pop3.
type Ref struct {
	Box        string
	UID        string    // POP3 unique-id, or "UIDVALIDITY/UID"
	Size       int64     // as the server says, in octets; -1 when not asked yet
	ReceivedAt time.Time // IMAP INTERNALDATE; zero for POP3
	Flags      []string  // IMAP; nil for POP3
	Excluded   bool      // known, but a filter says: do not take
	Same       string    // one name for one mail in all boxes of the account, from Identifier; "" where there is none
}
