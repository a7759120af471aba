package pop3

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/knadh/go-pop3"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/failpoint"
)

// goodbye is how long Close waits for the reply to QUIT.
const goodbye = 2 * time.Second

// session is one signed-in connection.
type session struct {
	src        *Source
	g          *guard
	client     *pop3.Conn
	greeting   string // the server's words
	offers     offers
	pipelining bool

	numbers   map[string]int   // message numbers by unique-id, from the listing
	sizes     map[string]int64 // as LIST says
	order     []string         // unique-ids as the server lists them
	retrieved bool             // anything was asked for by RETR
	broken    bool             // nothing more can be asked
	once      sync.Once
}

var _ fetcher.Session = (*session)(nil)

var errFinished = errors.New("the session is finished")

// do runs one command. The connection is closed when ctx ends, which ends a
// blocked call too, and when the command takes longer than it may. Everything but
// an -ERR finishes the session.
func (x *session) do(ctx context.Context, op string, command func() error) error {
	if x.broken {
		return &fetcher.Error{Radius: fetcher.SessionRadius, Op: op, Err: errFinished}
	}
	if ctx.Err() != nil {
		return x.fail(ctx, op, ctx.Err())
	}
	stop := context.AfterFunc(ctx, func() { x.g.Close() })
	defer stop()
	x.g.SetDeadline(time.Now().Add(x.src.o.Command))
	err := command()
	x.g.SetDeadline(time.Time{})
	switch {
	case x.g.err != nil:
		return x.fail(ctx, op, x.g.err)
	case err == nil && ctx.Err() == nil:
		return nil
	case x.g.refused != nil && ctx.Err() == nil:
		return replyError(op, x.g.refused)
	}
	if refused, ok := errors.AsType[*refusal](err); ok && ctx.Err() == nil {
		return replyError(op, refused)
	}
	return x.fail(ctx, op, err)
}

// fail finishes the session.
func (x *session) fail(ctx context.Context, op string, err error) error {
	x.broken = true
	x.g.Close()
	return connError(ctx, op, err)
}

// List implements fetcher.Session. A maildrop is one box, so box is not looked
// at, and it is always listed as a whole.
func (x *session) List(ctx context.Context, box string, _ fetcher.Cursor) (fetcher.Listing, error) {
	if err := x.read(ctx); err != nil {
		return fetcher.Listing{}, err
	}
	refs := make([]fetcher.Ref, 0, len(x.order))
	for _, uid := range x.order {
		refs = append(refs, fetcher.Ref{Box: box, UID: uid, Size: x.sizes[uid]})
	}
	return fetcher.Listing{Refs: refs, Complete: true}, nil
}

// known reads the listing if this session has none: numbers hold for all of it
// (RFC 1939 section 5: the maildrop is locked).
func (x *session) known(ctx context.Context) error {
	if x.numbers != nil {
		return nil
	}
	return x.read(ctx)
}

// read asks for STAT, LIST and UIDL, which must agree: the library ends a list
// without a word at a line it does not understand, and a mail that is missing
// from a list would be forgotten.
func (x *session) read(ctx context.Context) error {
	failpoint.Hit("pop3.list.before")
	count, err := x.stat(ctx)
	if err != nil {
		return err
	}
	const op = "listing the mailbox"
	var scan, uidl []pop3.MessageID
	if count > 0 {
		if scan, err = x.listing(ctx, op, count, checkScan, x.listAll); err != nil {
			return err
		}
		uidl, err = x.listing(ctx, op, count, checkUnique, x.uidlAll)
		if refused, ok := errors.AsType[*refusal](err); ok && codeOf(refused.text) == "" {
			return fetcher.Errorf(fetcher.Protocol, op, "the server must offer UIDL; use IMAP if it has it",
				"the server gives its mails no unique-ids: %w", refused)
		}
		if err != nil {
			return err
		}
	}
	failpoint.Hit("pop3.list.after")
	if err := x.join(count, scan, uidl); err != nil {
		return x.fail(ctx, op, err)
	}
	return nil
}

func (x *session) listAll() ([]pop3.MessageID, error) { return x.client.List(0) }
func (x *session) uidlAll() ([]pop3.MessageID, error) { return x.client.Uidl(0) }

func (x *session) stat(ctx context.Context) (count int, err error) {
	const op = "counting the mails"
	err = x.do(ctx, op, func() (err error) {
		x.g.expect(nil, 0)
		count, _, err = x.client.Stat()
		if err != nil && x.g.err == nil && x.g.refused == nil {
			err = violatef("the reply to STAT is malformed: %s", printable(err.Error()))
		}
		return err
	})
	if err == nil && (count < 0 || count > maxMails) {
		err = x.fail(ctx, op, violatef("STAT counts %d mails; at most %d can be handled", count, maxMails))
	}
	return count, err
}

func (x *session) listing(ctx context.Context, op string, count int, check lineCheck, ask func() ([]pop3.MessageID, error)) (ids []pop3.MessageID, err error) {
	err = x.do(ctx, op, func() (err error) {
		x.g.expect(check, count)
		ids, err = ask()
		return err
	})
	return ids, err
}

// join makes one listing of the three replies.
func (x *session) join(count int, scan, uidl []pop3.MessageID) error {
	if len(scan) != count || len(uidl) != count {
		return violatef("STAT counts %d mails, LIST %d, UIDL %d", count, len(scan), len(uidl))
	}
	sizes := make(map[int]int64, count)
	for _, m := range scan {
		if _, twice := sizes[m.ID]; twice {
			return violatef("LIST has message %d twice", m.ID)
		}
		sizes[m.ID] = int64(m.Size)
	}
	x.numbers, x.sizes, x.order = make(map[string]int, count), make(map[string]int64, count), make([]string, 0, count)
	for _, m := range uidl {
		size, ok := sizes[m.ID]
		if !ok {
			return violatef("UIDL has message %d, which LIST has not, or has it twice", m.ID)
		}
		delete(sizes, m.ID)
		if other, twice := x.numbers[m.UID]; twice {
			// RFC 1939 section 7 lets identical mails share a unique-id, but then
			// neither can be settled without the other.
			return violatef("messages %d and %d have the same unique-id %s", other, m.ID, m.UID)
		}
		x.numbers[m.UID], x.sizes[m.UID] = m.ID, size
		x.order = append(x.order, m.UID)
	}
	return nil
}

// checkScan accepts a scan listing (RFC 1939 section 5, LIST): a number, a size,
// and whatever else the server adds.
func checkScan(line []byte) error {
	fields := strings.SplitN(string(line), " ", 3)
	if len(fields) < 2 || !messageNumber(fields[0]) {
		return violatef("the line %q of LIST is malformed", printable(string(line)))
	}
	if _, ok := number(fields[1]); !ok {
		return violatef("the line %q of LIST is malformed", printable(string(line)))
	}
	return nil
}

// checkUnique accepts a unique-id listing (RFC 1939 section 7, UIDL): a number and
// 1 to 70 characters from 0x21 to 0x7E.
func checkUnique(line []byte) error {
	num, uid, _ := strings.Cut(string(line), " ")
	if !messageNumber(num) || len(uid) < 1 || len(uid) > 70 {
		return violatef("the line %q of UIDL is malformed", printable(string(line)))
	}
	for _, c := range []byte(uid) {
		if c < 0x21 || c > 0x7e {
			return violatef("the unique-id %q holds a character RFC 1939 does not allow", printable(uid))
		}
	}
	return nil
}

func messageNumber(s string) bool {
	n, ok := number(s)
	return ok && n > 0 && n <= maxMails
}

// Close implements fetcher.Session. QUIT is sent only by a session that has
// retrieved nothing: some servers delete at QUIT what was retrieved.
func (x *session) Close() error {
	x.once.Do(func() {
		if !x.broken && !x.retrieved {
			x.g.SetReadTimeout(goodbye)
			x.g.SetDeadline(time.Now().Add(goodbye))
			x.g.expect(nil, 0)
			x.client.Quit() // a courtesy that unlocks the maildrop sooner
		}
		x.broken = true
		x.g.Close()
	})
	return nil
}
