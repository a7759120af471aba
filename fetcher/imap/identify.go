package imap

import (
	"bytes"
	"context"
	"errors"
	"strconv"

	"github.com/emersion/go-imap/v2"

	"github.com/postferry/postferry/fetcher"
)

// capGmail is Gmail's own extension
// (https://developers.google.com/workspace/gmail/imap/imap-extensions).
const capGmail imap.Cap = "X-GM-EXT-1"

// Identify implements fetcher.Identifier by X-GM-MSGID, which is one number for a
// mail under all its labels. Other servers have no such thing.
func (x *session) Identify(ctx context.Context, refs []fetcher.Ref) error {
	if !x.caps.Has(capGmail) {
		return nil
	}
	for name, in := range byBox(refs) {
		b, err := x.open(ctx, name, false)
		if err != nil {
			return err
		}
		wanted, uids := b.hold(in)
		for _, set := range sets(uids, maxDescribed) {
			names := map[imap.UID]string{}
			op := "identifying the mails of " + name
			err := x.askAside(ctx, op, "UID FETCH "+set.String()+" (UID X-GM-MSGID)", func(items []byte) bool {
				uid, id := identified(items)
				if uid > 0 && len(names) < len(wanted) {
					names[uid] = id
				}
				return uid > 0
			})
			if said, no := errors.AsType[*imap.Error](err); no {
				x.src.warn("the server declines to identify mails", "server", x.src.o.Server.Address(), "says", x.words(said))
				return nil
			}
			if err != nil {
				return err
			}
			for uid, id := range names {
				if r := wanted[uid]; r != nil {
					r.Same = id
				}
			}
		}
	}
	return nil
}

// identified reads "(UID 7 X-GM-MSGID 1278455344230334865)", in any order and
// perhaps with other numbers; 0 if there is anything else in it.
func identified(items []byte) (uid imap.UID, id string) {
	list, ok := bytes.CutPrefix(items, []byte("("))
	list, closed := bytes.CutSuffix(list, []byte(")"))
	words := bytes.Fields(list)
	if !ok || !closed || len(words)%2 != 0 {
		return 0, ""
	}
	for i := 0; i < len(words); i += 2 {
		n, err := strconv.ParseUint(string(words[i+1]), 10, 64)
		if err != nil {
			return 0, ""
		}
		switch {
		case bytes.EqualFold(words[i], []byte("UID")) && n == uint64(uint32(n)):
			uid = imap.UID(n)
		case bytes.EqualFold(words[i], []byte("X-GM-MSGID")):
			id = "x-gm-msgid/" + strconv.FormatUint(n, 10)
		}
	}
	if id == "" {
		return 0, ""
	}
	return uid, id
}
