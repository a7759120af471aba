package pop3

import (
	"context"
	"errors"
	"strings"

	"github.com/knadh/go-pop3"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/failpoint"
)

const listing = "listing the mailbox"

// List implements fetcher.Session. A maildrop is one box, so box is not looked
// at, and it is listed as a whole, unless STAT says what it said when the last
// listing was concluded.
func (x *session) List(ctx context.Context, box string, c fetcher.Cursor) (fetcher.Listing, error) {
	if err := x.stat(ctx); err != nil {
		return fetcher.Listing{}, err
	}
	if x.src.memory.unchanged(x) {
		return fetcher.Listing{Unchanged: true}, nil
	}
	if err := x.read(ctx, c == byHeaders); err != nil {
		return fetcher.Listing{}, err
	}
	x.src.memory.listed(x)
	refs := make([]fetcher.Ref, 0, len(x.order))
	for _, uid := range x.order {
		refs = append(refs, fetcher.Ref{Box: box, UID: uid, Size: x.sizes[uid]})
	}
	l := fetcher.Listing{Refs: refs, Complete: true}
	if x.headers {
		l.Cursor = byHeaders
	}
	return l, nil
}

// known reads the listing if this session has none: numbers hold for all of it
// (RFC 1939 section 5: the maildrop is locked). headers wants those for the UIDs
// made of headers too.
func (x *session) known(ctx context.Context, headers bool) error {
	if x.numbers != nil && (x.headers || !headers) {
		return nil
	}
	return x.read(ctx, headers)
}

// read asks for STAT, LIST and UIDL, which must agree: a mail that is missing from
// a list would be forgotten. Where unique-ids do not tell mails apart, or headers is
// set, it goes on to the headers.
func (x *session) read(ctx context.Context, headers bool) error {
	failpoint.Hit("pop3.list.before")
	if err := x.stat(ctx); err != nil {
		return err
	}
	x.src.memory.forget()
	count := x.count
	var err error
	var scan []pop3.MessageID
	var uidl []unique
	if count > 0 {
		if scan, err = x.scan(ctx, count); err != nil {
			return err
		}
		if uidl, err = x.uniques(ctx, count, &headers); err != nil {
			return err
		}
	}
	failpoint.Hit("pop3.list.after")
	mails, err := join(count, scan, uidl)
	if err != nil {
		return x.fail(ctx, listing, err)
	}
	x.order, x.numbers, x.sizes = make([]string, 0, count), make(map[string]int, count), make(map[string]int64, count)
	shared := x.nameUnique(mails)
	if x.headers = headers || shared; x.headers {
		err = x.nameByHeaders(ctx, mails, shared)
	}
	if err == nil {
		x.renamed = x.src.memory.renamed(x) || x.renamed
	}
	return err
}

// mail is one line of the listing.
type mail struct {
	num  int
	size int64
	uid  string // made of its unique-id; "" if it has none
}

// nameUnique lists the mails by their unique-ids. RFC 1939 section 7 lets identical
// mails share one, and some servers let others share it too; it says whether any
// do. Those are not listed.
func (x *session) nameUnique(mails []mail) (shared bool) {
	times := make(map[string]int, len(mails))
	for _, m := range mails {
		times[m.uid]++
	}
	for _, m := range mails {
		if m.uid == "" || times[m.uid] > 1 {
			shared = true
			continue
		}
		x.name(m.uid, m)
		x.order = append(x.order, m.uid)
	}
	return shared
}

// name has a UID lead to a mail.
func (x *session) name(uid string, m mail) { x.numbers[uid], x.sizes[uid] = m.num, m.size }

// stat asks how much there is, once: nothing comes into a maildrop that is locked.
func (x *session) stat(ctx context.Context) error {
	if x.counted {
		return nil
	}
	const op = "counting the mails"
	err := x.do(ctx, op, func() (err error) {
		x.g.expect(nil, 0)
		x.count, x.octets, err = x.client.Stat()
		if err != nil && x.g.err == nil && x.g.refused == nil {
			err = violatef("the reply to STAT is malformed: %s", printable(err.Error()))
		}
		return err
	})
	if err == nil && (x.count < 0 || x.count > maxMails) {
		err = x.fail(ctx, op, violatef("STAT counts %d mails; at most %d can be handled", x.count, maxMails))
	}
	x.counted = err == nil
	return err
}

// scan is the reply to LIST. The library ends it without a word at a line it does
// not understand; such lines do not pass checkScan.
func (x *session) scan(ctx context.Context, count int) (ids []pop3.MessageID, err error) {
	err = x.do(ctx, listing, func() (err error) {
		x.g.expect(checkScan, count)
		ids, err = x.client.List(0)
		return err
	})
	return ids, err
}

// unique is a line of UIDL.
type unique struct {
	num int
	uid string
}

// uniques is the reply to UIDL. A server that has none to give sets headers, if it
// has TOP.
func (x *session) uniques(ctx context.Context, count int, headers *bool) (all []unique, err error) {
	lacking := x.offers.named && !x.offers.has("UIDL") || !x.offers.named && !x.src.unique.Load()
	err = x.do(ctx, listing, func() error {
		x.g.collect(func(line []byte) error {
			u, err := parseUnique(line)
			all = append(all, u)
			return err
		}, count)
		_, err := x.client.Cmd("UIDL", true)
		return err
	})
	refused, ok := errors.AsType[*refusal](err)
	switch {
	case err == nil:
		x.src.unique.Store(true)
		return all, nil
	case !ok || refused.code != "":
		return nil, err
	case !lacking:
		return nil, fetcher.Errorf(fetcher.Protocol, listing, "it is tried again; if this lasts, use IMAP if the server has it",
			"the server gives its mails no unique-ids, though it did or says it does: %w", refused)
	}
	*headers = true
	return nil, nil
}

// join makes one listing of the replies.
func join(count int, scan []pop3.MessageID, uidl []unique) ([]mail, error) {
	if len(scan) != count || uidl != nil && len(uidl) != count {
		return nil, violatef("STAT counts %d mails, LIST %d, UIDL %d", count, len(scan), len(uidl))
	}
	sizes := make(map[int]int64, count)
	all := make([]mail, 0, count)
	for _, m := range scan {
		if _, twice := sizes[m.ID]; twice {
			return nil, violatef("LIST has message %d twice", m.ID)
		}
		sizes[m.ID] = int64(m.Size)
		if uidl == nil {
			all = append(all, mail{num: m.ID, size: int64(m.Size)})
		}
	}
	for _, u := range uidl {
		size, ok := sizes[u.num]
		if !ok {
			return nil, violatef("UIDL has message %d, which LIST has not, or has it twice", u.num)
		}
		delete(sizes, u.num)
		all = append(all, mail{u.num, size, u.uid})
	}
	return all, nil
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

// parseUnique reads a unique-id listing (RFC 1939 section 7, UIDL): a number and
// what the server calls unique.
func parseUnique(line []byte) (unique, error) {
	digits, raw, _ := strings.Cut(string(line), " ")
	raw = strings.TrimRight(raw, " ")
	if !messageNumber(digits) || raw == "" {
		return unique{}, violatef("the line %q of UIDL is malformed", printable(string(line)))
	}
	n, _ := number(digits)
	return unique{int(n), uidOf(raw)}, nil
}

func messageNumber(s string) bool {
	n, ok := number(s)
	return ok && n > 0 && n <= maxMails
}
