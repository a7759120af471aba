package imap

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/failpoint"
)

// maxListed bounds the mails of one box.
const maxListed = 2 << 20

// uidOf is the name of a mail to the rest of the program.
func uidOf(validity uint32, uid imap.UID) string {
	b := strconv.AppendUint(make([]byte, 0, 21), uint64(validity), 10)
	return string(strconv.AppendUint(append(b, '/'), uint64(uid), 10))
}

// parseUID reads what uidOf wrote.
func parseUID(s string) (validity uint32, uid imap.UID, ok bool) {
	first, second, found := strings.Cut(s, "/")
	v, err1 := strconv.ParseUint(first, 10, 32)
	u, err2 := strconv.ParseUint(second, 10, 32)
	return uint32(v), imap.UID(u), found && err1 == nil && err2 == nil && u > 0
}

// List implements fetcher.Session. Size, ReceivedAt and Flags are left for
// Describe and Retrieve, which ask for them where they are needed. The listing is
// complete when the server counts as many mails as it lists.
func (x *session) List(ctx context.Context, name string, _ fetcher.Cursor) (fetcher.Listing, error) {
	b, fresh, err := x.view(ctx, name)
	if err != nil {
		return fetcher.Listing{}, err
	}
	if fresh && x.unchanged(b) {
		return fetcher.Listing{Unchanged: true}, nil
	}
	op := "listing " + name
	all, complete, err := x.searchAll(ctx, op)
	if err != nil {
		return fetcher.Listing{}, err
	}
	left, err := x.filtered(ctx, op, len(all))
	if err != nil {
		return fetcher.Listing{}, err
	}
	refs := make([]fetcher.Ref, 0, len(all))
	for _, uid := range all {
		refs = append(refs, fetcher.Ref{
			Box: name, UID: uidOf(b.validity, uid), Size: -1, Excluded: left.Contains(uid),
		})
	}
	if fresh && complete && int(b.stands.exists) == len(all) && b.stands.next > 0 && (len(all) == 0 || b.stands.next > slices.Max(all)) {
		x.whole = &b.stands
	}
	return fetcher.Listing{Refs: refs, Complete: complete}, nil
}

// view is open for a listing: the box is selected anew (fresh), which is the
// server's new look at it, unless Wait has just told of news there.
func (x *session) view(ctx context.Context, name string) (b box, fresh bool, err error) {
	if x.told && x.selected != nil && x.selected.name == name {
		x.told, x.whole = false, nil
		return *x.selected, false, nil
	}
	b, err = x.reopen(ctx, name, !x.src.o.ReadOnly)
	return b, true, err
}

// searchAll asks what is in the box, and once more if that is not as many mails
// as the server counts: something came or went meanwhile, or the server leaves
// something out, and then nothing may be forgotten.
func (x *session) searchAll(ctx context.Context, op string) (uids []imap.UID, complete bool, err error) {
	for range 2 {
		set, err := x.search(ctx, op, &imap.SearchCriteria{})
		if err != nil {
			return nil, false, err
		}
		uids, _ = set.Nums()
		if int64(len(uids)) == x.exists.Load() {
			return uids, true, nil
		}
	}
	x.src.o.Logger.Warn("the server lists another number of mails than it counts; nothing is forgotten by this listing",
		"server", x.src.o.Server.Address(), "listed", len(uids), "counted", x.exists.Load())
	return uids, false, nil
}

// filtered are the mails the filter leaves out. The server is asked for those
// and not for the others: one that it forgets to name is then taken, not lost.
func (x *session) filtered(ctx context.Context, op string, listed int) (imap.UIDSet, error) {
	f := x.src.o.Search
	if listed == 0 || f == (Search{}) {
		return nil, nil
	}
	seen := imap.SearchCriteria{Flag: []imap.Flag{imap.FlagSeen}}
	// BEFORE minds the date alone, in the server's own zone (RFC 3501 section
	// 6.4.4), so the day before is safe everywhere.
	old := imap.SearchCriteria{Before: x.src.o.Clock.Now().Add(-f.Since).UTC().Add(-24 * time.Hour)}
	c := seen
	switch {
	case f.Since > 0 && f.Unseen:
		c = imap.SearchCriteria{Or: [][2]imap.SearchCriteria{{seen, old}}}
	case f.Since > 0:
		c = old
	}
	return x.search(ctx, op, &c)
}

// search is one UID SEARCH, in RFC 4731's short form where the server has it.
func (x *session) search(ctx context.Context, op string, c *imap.SearchCriteria) (imap.UIDSet, error) {
	var o *imap.SearchOptions
	if x.caps.Has(imap.CapESearch) {
		o = &imap.SearchOptions{ReturnAll: true}
	}
	var found imap.UIDSet
	err := x.do(ctx, op, func() error {
		failpoint.Hit("imap.search.before")
		data, err := x.client.UIDSearch(c, o).Wait()
		failpoint.Hit("imap.search.after")
		if err != nil {
			return err
		}
		found, err = checkFound(data.All)
		if err != nil {
			x.g.fail(err)
		}
		return err
	})
	return found, err
}

// checkFound bounds what a search has found: a range is short to write.
func checkFound(all imap.NumSet) (imap.UIDSet, error) {
	if all == nil {
		return nil, nil
	}
	set, ok := all.(imap.UIDSet)
	if !ok {
		return nil, violatef("the answer to UID SEARCH holds no UIDs")
	}
	if set.Dynamic() {
		return nil, violatef("the answer to UID SEARCH holds %q", clip([]byte(set.String())))
	}
	n := uint64(0)
	for _, r := range set {
		n += uint64(r.Stop) - uint64(r.Start) + 1
	}
	if n > maxListed {
		return nil, violatef("the answer to UID SEARCH holds %d mails; at most %d can be handled", n, maxListed)
	}
	return set, nil
}
