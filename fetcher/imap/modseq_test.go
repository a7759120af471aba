package imap_test

import (
	"net"
	"testing"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/spool"
)

// HIGHESTMODSEQ (RFC 7162 section 3.1.2.1) grows with every flag that anybody sets,
// and our own; UIDNEXT and the number of mails do not, so a box costs no listing
// because of it. docs/decisions/0015-no-highestmodseq.md has the reasons.
func TestFlagsThatChangeCostNoListing(t *testing.T) {
	d := mailtest.StartDovecot(t)
	d.AddUser(t, ada, password)
	for range 3 {
		d.Append(t, ada, "INBOX", []byte("Subject: one\r\n\r\nbody\r\n"))
	}
	source := newSource(t, dovecotOptions(t, d, "imaps", false))
	poll := func(due func([]fetcher.Ref) []spool.Settlement) fetcher.Listing {
		t.Helper()
		x, err := source.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		l, err := x.List(t.Context(), "INBOX", "")
		if err != nil {
			t.Fatal(err)
		}
		if due != nil {
			if err := x.Settle(t.Context(), due(l.Refs)); err != nil {
				t.Fatal(err)
			}
		}
		x.(fetcher.Concluder).Conclude("INBOX")
		return l
	}
	before := modSeq(t, d, nil)
	first := poll(func(refs []fetcher.Ref) []spool.Settlement {
		return []spool.Settlement{{BoxKey: spool.BoxKey{Box: "INBOX"}, UID: refs[0].UID, Action: spool.Action{Verb: spool.Seen}}}
	})
	ours := modSeq(t, d, nil)
	second := poll(nil)
	theirs := modSeq(t, d, &goimap.StoreFlags{Op: goimap.StoreFlagsAdd, Silent: true, Flags: []goimap.Flag{goimap.FlagFlagged}})
	third := poll(nil)
	if len(first.Refs) != 3 || !second.Unchanged || !third.Unchanged {
		t.Errorf("%d mails were listed, then the box was unchanged: %v, %v", len(first.Refs), second.Unchanged, third.Unchanged)
	}
	if before == 0 || ours <= before || theirs <= ours {
		t.Errorf("HIGHESTMODSEQ was %d, %d after our flag, %d after another's; it tells nothing here", before, ours, theirs)
	}
}

// modSeq is HIGHESTMODSEQ of INBOX, after flags are set on its second mail.
func modSeq(t *testing.T, d *mailtest.Dovecot, set *goimap.StoreFlags) uint64 {
	t.Helper()
	conn, err := net.Dial("tcp", d.IMAPAddr())
	if err != nil {
		t.Fatal(err)
	}
	c := imapclient.New(conn, nil)
	defer c.Close()
	if err := c.Login(ada, password).Wait(); err != nil {
		t.Fatal(err)
	}
	selected, err := c.Select("INBOX", &goimap.SelectOptions{CondStore: true}).Wait()
	if err == nil && set != nil {
		if err = c.Store(goimap.UIDSetNum(2), set, nil).Close(); err == nil {
			selected, err = c.Select("INBOX", &goimap.SelectOptions{CondStore: true}).Wait()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return selected.HighestModSeq
}
