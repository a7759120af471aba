package imap

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/failpoint"
)

const retrieving = "retrieving"

// bodies asks for whole mails, without setting \Seen (RFC 3501 section 6.4.5).
var bodies = &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}}

// retrieval is one call of Retrieve, for one box.
type retrieval struct {
	x       *session
	ctx     context.Context
	take    func(fetcher.Ref, io.Reader) error
	pending map[imap.UID]*wanted // not taken yet
	broken  error                // what take returned
	failed  []error              // of radius Message
}

// wanted is one mail to retrieve.
type wanted struct {
	ref  *fetcher.Ref
	uid  imap.UID
	seen *print // a body that was not of the announced size
	why  error  // why it was not taken when it came last
}

// print tells bodies apart.
type print struct {
	size int64
	sum  [sha256.Size]byte
}

// Retrieve implements fetcher.Session. Mails come in batches, and a batch is
// asked for while the one before it is read. Whatever did not come whole, once
// and of the announced size is asked for again, alone. Once take has failed the
// session is finished, since what follows on the connection are mails nobody
// wants.
func (x *session) Retrieve(ctx context.Context, refs []fetcher.Ref, take func(fetcher.Ref, io.Reader) error) error {
	refs = slices.Clone(refs)
	var failed []error
	for name, in := range byBox(refs) {
		r := &retrieval{x: x, ctx: ctx, take: take, pending: map[imap.UID]*wanted{}}
		if err := r.box(name, in); err != nil {
			if r.broken != nil {
				return r.broken
			}
			return errors.Join(append(failed, err)...)
		}
		failed = append(failed, r.failed...)
	}
	return errors.Join(failed...)
}

// box retrieves the mails of one box.
func (r *retrieval) box(name string, refs []*fetcher.Ref) error {
	b, err := r.x.open(r.ctx, name, false)
	if err != nil {
		return err
	}
	if err := r.describe(name, refs); err != nil {
		return err
	}
	var order []*wanted
	for _, ref := range refs {
		validity, uid, ok := parseUID(ref.UID)
		switch {
		case !ok || validity != b.validity:
			r.fail(ref, "", "the box has got new UIDs since it was listed")
		case ref.Size > r.x.src.o.MaxOctets:
			r.fail(ref, "it stays on the server", "the mail has %d octets, more than %d", ref.Size, r.x.src.o.MaxOctets)
		case r.pending[uid] == nil:
			w := &wanted{ref: ref, uid: uid}
			r.pending[uid] = w
			order = append(order, w)
		}
	}
	failpoint.Hit("imap.fetch.before")
	declined, err := r.x.stream(r.ctx, retrieving, 0, r.batches(order), bodies, r.answer)
	failpoint.Hit("imap.fetch.after")
	if err != nil {
		return err
	}
	for _, w := range order {
		if r.pending[w.uid] == nil {
			continue
		}
		if err := r.alone(w, declined); err != nil {
			return err
		}
	}
	return nil
}

// describe completes the refs nothing is known of yet.
func (r *retrieval) describe(name string, refs []*fetcher.Ref) error {
	unknown := slices.DeleteFunc(slices.Clone(refs), func(ref *fetcher.Ref) bool { return ref.Size >= 0 })
	if len(unknown) == 0 {
		return nil
	}
	return r.x.describe(r.ctx, name, unknown)
}

// batches divides the mails. What the server did not describe is left for later.
func (r *retrieval) batches(order []*wanted) []imap.UIDSet {
	var uids []imap.UID
	for _, w := range order {
		if w.ref.Size >= 0 {
			uids = append(uids, w.uid)
		}
	}
	return sets(uids, r.x.src.o.BatchMails)
}

// answer reads one FETCH response. Its error ends the session.
func (r *retrieval) answer(m *imapclient.FetchMessageData) error {
	var uid imap.UID
	for item := m.Next(); item != nil; item = m.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			uid = item.UID
		case imapclient.FetchItemDataBodySection:
			w := r.pending[uid]
			if w == nil || item.Literal == nil {
				continue
			}
			if err := r.body(w, item.Literal); err != nil {
				return err
			}
		}
	}
	return nil
}

// body judges one body by its length, which is known before its octets come.
func (r *retrieval) body(w *wanted, lit imap.LiteralReader) error {
	r.x.g.asked.Add(lit.Size())
	switch {
	case lit.Size() == 0:
		w.why = errors.New("the server sent it empty")
	case lit.Size() == w.ref.Size:
		return r.taken(w, &body{r: lit, left: lit.Size()})
	case w.seen != nil && w.seen.size == lit.Size():
		w.ref.Size = lit.Size()
		return r.taken(w, &body{r: lit, left: lit.Size(), hash: sha256.New(), want: w.seen})
	default:
		return r.look(w, lit)
	}
	return nil
}

// look reads a body whose length is not the announced one, to compare it with
// the next.
func (r *retrieval) look(w *wanted, lit imap.LiteralReader) error {
	b := &body{r: lit, left: lit.Size(), hash: sha256.New()}
	if _, err := io.Copy(io.Discard, b); err != nil {
		return r.x.connectionError(retrieving, err)
	}
	w.why = errors.New("the server sends another number of octets each time than it announces")
	w.seen = &print{size: lit.Size(), sum: b.sum()}
	return nil
}

// taken hands a body to take.
func (r *retrieval) taken(w *wanted, b *body) error {
	delete(r.pending, w.uid)
	err := r.take(*w.ref, b)
	if err == nil {
		_, err = io.Copy(io.Discard, b)
	}
	switch {
	case b.err == errDiffers:
		r.fail(w.ref, "", "%w", errDiffers)
		return nil
	case b.err != nil && b.err != io.EOF:
		failed := r.x.connectionError(retrieving, b.err).(*fetcher.Error)
		failed.UID = w.ref.UID
		return failed
	case err != nil:
		r.broken = err
	}
	return err
}

// alone asks once more for a mail that did not come with its batch: first what it
// is, then, twice at most, for its octets.
func (r *retrieval) alone(w *wanted, declined *imap.Error) error {
	w.ref.Size = -1
	if err := r.x.describe(r.ctx, w.ref.Box, []*fetcher.Ref{w.ref}); err != nil {
		return err
	}
	if w.ref.Size < 0 && w.why == nil {
		there, err := r.x.search(r.ctx, retrieving, &imap.SearchCriteria{UID: []imap.UIDSet{imap.UIDSetNum(w.uid)}})
		if err != nil {
			return err
		}
		if !there.Contains(w.uid) {
			r.fail(w.ref, "", "the server does not list it any more")
			return nil
		}
	}
	for try := 0; try < 2 && r.pending[w.uid] != nil; try++ {
		again, err := r.x.stream(r.ctx, retrieving, 0, []imap.UIDSet{imap.UIDSetNum(w.uid)}, bodies, r.answer)
		if err != nil {
			return err
		}
		if again != nil {
			declined = again
		}
	}
	if r.pending[w.uid] == nil {
		return nil
	}
	switch {
	case w.why != nil:
		r.fail(w.ref, "", "%w", w.why)
	case declined != nil:
		r.fail(w.ref, "", "%w", &refusal{text: r.x.words(declined), said: declined})
	default:
		r.fail(w.ref, "", "the server sent no body for it")
	}
	return nil
}

// fail notes a mail that could not be had.
func (r *retrieval) fail(ref *fetcher.Ref, hint, format string, args ...any) {
	r.failed = append(r.failed, messageError(retrieving, dial.Printable(ref.UID), hint, format, args...))
}
