package imap

import (
	"context"
	"iter"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postferry/postferry/fetcher"
)

const (
	underWay     = 2      // FETCH commands at a time: one is read while the next is on its way
	maxDescribed = 10_000 // mails described by one FETCH
	maxRanges    = 300    // of a UID set, which keeps a command below 8 KiB (RFC 7162 section 4)
)

// sets divides UIDs into sets of at most mails UIDs.
func sets(uids []imap.UID, mails int) []imap.UIDSet {
	var out []imap.UIDSet
	var set imap.UIDSet
	n := 0
	for _, uid := range uids {
		if n == mails || len(set) == maxRanges {
			out, set, n = append(out, set), nil, 0
		}
		set.AddNum(uid)
		n++
	}
	if n > 0 {
		out = append(out, set)
	}
	return out
}

// answer is one FETCH response, or the end of its command.
type answer struct {
	msg *imapclient.FetchMessageData // nil: the command has ended, with err
	err error
	on  chan bool // told when msg has been dealt with, and whether the next is wanted
}

// stream sends a UID FETCH for each set and gives every answer to each, one after
// the other. The next command is sent before the one under way is answered, so
// that the server never waits. An error of each ends the session, and is
// returned as it is. declined is the last NO or BAD; what belonged to it was not
// answered, the other commands were.
func (x *session) stream(ctx context.Context, op string, total time.Duration, sets []imap.UIDSet, o *imap.FetchOptions, each func(*imapclient.FetchMessageData) error) (declined *imap.Error, err error) {
	want := wantedSize
	for _, s := range o.BodySection {
		want = wantedBody
		if s.Specifier == imap.PartSpecifierHeader {
			want = wantedHead
		}
	}
	x.g.wanted.Store(&want)
	defer x.g.wanted.Store(nil)
	var failed error // what each returned
	err = x.within(ctx, op, x.src.o.Silence, total, func() error {
		answers := make(chan answer)
		var ended error
		for running := 0; ; {
			for running < underWay && len(sets) > 0 && failed == nil && ended == nil {
				cmd := x.client.Fetch(sets[0], o)
				sets = sets[1:]
				running++
				go forward(cmd, answers)
			}
			if running == 0 {
				return ended
			}
			a := <-answers
			if a.msg == nil {
				running--
				if said, ok := a.err.(*imap.Error); ok {
					declined = said
				} else if a.err != nil && ended == nil {
					ended = a.err
				}
				continue
			}
			if failed == nil && ended == nil {
				if failed = each(a.msg); failed != nil {
					x.g.fail(fetcher.ErrFinished) // what follows are answers nobody wants
				}
			}
			a.on <- !x.over
			if x.over {
				running--
			}
		}
	})
	if failed != nil {
		return nil, failed
	}
	if err == nil && ctx.Err() != nil { // it ended as the last octets came
		x.g.fail(context.Cause(ctx))
		err = x.connectionError(op, nil)
	}
	if err == nil && declined != nil && lasts(declined) {
		err = x.refusedError(op, declined)
	}
	return declined, err
}

// forward passes on the answers to one command. A server may answer two commands
// in any order (RFC 3501 section 5.5), so each has a goroutine of its own; it ends
// with the command.
func forward(cmd *imapclient.FetchCommand, to chan<- answer) {
	on := make(chan bool)
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		to <- answer{msg: msg, on: on}
		// A literal whose reading has failed must not be read again, which Next and
		// Close would do: imapclient's reader has gone on by then.
		if more := <-on; !more {
			return
		}
	}
	to <- answer{err: cmd.Close()}
}

// lasts reports whether a refusal would meet the next command too.
func lasts(said *imap.Error) bool {
	code, _ := refused(said)
	_, hint := grade(code)
	return hint != "" && code != imap.ResponseCodeCorruption && code != imap.ResponseCodeNoPerm
}

// byBox divides refs by box, in the order in which the boxes come.
func byBox(refs []fetcher.Ref) iter.Seq2[string, []*fetcher.Ref] {
	var names []string
	in := map[string][]*fetcher.Ref{}
	for i := range refs {
		r := &refs[i]
		if in[r.Box] == nil {
			names = append(names, r.Box)
		}
		in[r.Box] = append(in[r.Box], r)
	}
	return func(yield func(string, []*fetcher.Ref) bool) {
		for _, n := range names {
			if !yield(n, in[n]) {
				return
			}
		}
	}
}

// Describe implements fetcher.Describer.
func (x *session) Describe(ctx context.Context, refs []fetcher.Ref) error {
	for box, in := range byBox(refs) {
		if err := x.describe(ctx, box, in); err != nil {
			return err
		}
	}
	return nil
}

// hold finds the refs of the box's present numbering.
func (b box) hold(refs []*fetcher.Ref) (by map[imap.UID]*fetcher.Ref, uids []imap.UID) {
	by = make(map[imap.UID]*fetcher.Ref, len(refs))
	for _, r := range refs {
		if validity, uid, ok := parseUID(r.UID); ok && validity == b.validity {
			by[uid] = r
			uids = append(uids, uid)
		}
	}
	return by, uids
}

func (x *session) describe(ctx context.Context, name string, refs []*fetcher.Ref) error {
	b, err := x.open(ctx, name, false)
	if err != nil {
		return err
	}
	wanted, uids := b.hold(refs)
	items := &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true}
	declined, err := x.stream(ctx, "describing the mails of "+name, x.src.o.Command, sets(uids, maxDescribed), items,
		func(m *imapclient.FetchMessageData) error {
			uid, fill := readItems(m)
			if r := wanted[uid]; r != nil {
				fill(r)
			}
			return nil
		})
	if err == nil && declined != nil {
		x.src.warn("the server declines to describe mails", "server", x.src.o.Server.Address(), "says", x.words(declined))
	}
	return err
}

// recent says only that this session is the first to see a mail (RFC 3501 section
// 2.3.2), which tells nobody anything later.
const recent imap.Flag = `\Recent`

// readItems reads an answer without a mail in it.
func readItems(m *imapclient.FetchMessageData) (uid imap.UID, fill func(*fetcher.Ref)) {
	var fills []func(*fetcher.Ref)
	for item := m.Next(); item != nil; item = m.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			uid = item.UID
		case imapclient.FetchItemDataRFC822Size:
			fills = append(fills, func(r *fetcher.Ref) { r.Size = item.Size })
		case imapclient.FetchItemDataInternalDate:
			fills = append(fills, func(r *fetcher.Ref) { r.ReceivedAt = item.Time })
		case imapclient.FetchItemDataFlags:
			fills = append(fills, func(r *fetcher.Ref) {
				r.Flags = make([]string, 0, len(item.Flags))
				for _, f := range item.Flags {
					if f != recent {
						r.Flags = append(r.Flags, string(f))
					}
				}
			})
		}
	}
	return uid, func(r *fetcher.Ref) {
		for _, f := range fills {
			f(r)
		}
	}
}
