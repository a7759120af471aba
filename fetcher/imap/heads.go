package imap

import (
	"context"
	"io"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/spool"
)

// maxHeads is how many header blocks one FETCH asks for.
const maxHeads = 200

// heads asks for sizes and header blocks, without setting \Seen (RFC 3501
// section 6.4.5).
var heads = &imap.FetchOptions{
	UID: true, RFC822Size: true,
	BodySection: []*imap.FetchItemBodySection{{Specifier: imap.PartSpecifierHeader, Peek: true}},
}

// Heads implements fetcher.Header.
func (x *session) Heads(ctx context.Context, refs []fetcher.Ref, give func(fetcher.Ref, []byte)) error {
	for box, in := range byBox(refs) {
		if err := x.heads(ctx, box, in, give); err != nil {
			return err
		}
	}
	return nil
}

func (x *session) heads(ctx context.Context, name string, refs []*fetcher.Ref, give func(fetcher.Ref, []byte)) error {
	b, err := x.open(ctx, name, false)
	if err != nil {
		return err
	}
	wanted, uids := b.hold(refs)
	op := "reading header fields in " + name
	declined, err := x.stream(ctx, op, 0, sets(uids, maxHeads), heads, func(m *imapclient.FetchMessageData) error {
		uid, size, head, err := x.readHead(m)
		if err != nil {
			return x.connectionError(op, err)
		}
		if r := wanted[uid]; r != nil && size >= 0 && head != nil {
			r.Size = size
			give(*r, head)
		}
		return nil
	})
	if err == nil && declined != nil {
		x.src.warn("the server declines to give header fields", "server", x.src.o.Server.Address(), "says", x.words(declined))
	}
	return err
}

// readHead reads an answer with a header block in it, of which it keeps no more
// than counts.
func (x *session) readHead(m *imapclient.FetchMessageData) (uid imap.UID, size int64, head []byte, err error) {
	size = -1
	for item := m.Next(); item != nil; item = m.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			uid = item.UID
		case imapclient.FetchItemDataRFC822Size:
			size = item.Size
		case imapclient.FetchItemDataBodySection:
			if item.Literal == nil {
				continue
			}
			x.g.asked.Add(item.Literal.Size())
			head = make([]byte, min(item.Literal.Size(), spool.HeadLimit))
			if _, err = io.ReadFull(item.Literal, head); err == nil {
				_, err = io.Copy(io.Discard, item.Literal)
			}
			if err != nil {
				return 0, -1, nil, err
			}
		}
	}
	return uid, size, head, nil
}
