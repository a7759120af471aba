package demo

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// imapSignIn opens a session; exists gets the count of each EXISTS, expunged
// the number of each EXPUNGE.
func imapSignIn(t *testing.T, w *World, exists, expunged chan<- uint32) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(w.IMAP.Address, &imapclient.Options{
		TLSConfig: trusting(t, w),
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{
			Expunge: func(n uint32) {
				if expunged != nil {
					expunged <- n
				}
			},
			Mailbox: func(d *imapclient.UnilateralDataMailbox) {
				if d.NumMessages != nil && exists != nil {
					exists <- *d.NumMessages
				}
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login(w.IMAP.User, w.IMAP.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

func inbox(t *testing.T, c *imapclient.Client) *imap.SelectData {
	t.Helper()
	data, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func uidSearch(t *testing.T, c *imapclient.Client) []imap.UID {
	t.Helper()
	data, err := c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return data.AllUIDs()
}

// await is the next value, within a bounded time.
func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came within 20 s")
		panic("unreachable")
	}
}

func TestIMAPServesTheSamplesOctetForOctet(t *testing.T) {
	w := start(t, Options{})
	c := imapSignIn(t, w, nil, nil)
	if n := inbox(t, c).NumMessages; int(n) != len(imapSamples) {
		t.Fatalf("%d mails, want %d", n, len(imapSamples))
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	all := imap.UIDSet{{Start: 1, Stop: 0}}
	got, err := c.Fetch(all, &imap.FetchOptions{UID: true, InternalDate: true, Flags: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(imapSamples) {
		t.Fatalf("%d mails fetched, want %d", len(got), len(imapSamples))
	}
	for i, m := range got {
		raw, at, err := sample(imapSamples[i])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.FindBodySection(whole), raw) || m.RFC822Size != int64(len(raw)) || !m.InternalDate.Equal(at) || len(m.Flags) != 0 {
			t.Errorf("%s came as %d octets, received %v, flags %v", imapSamples[i], len(m.FindBodySection(whole)), m.InternalDate, m.Flags)
		}
	}
}

func TestIMAPRefusesWrongPasswords(t *testing.T) {
	w := start(t, Options{})
	for _, a := range []Account{{User: w.IMAP.User, Password: w.POP3.Password}, {User: w.POP3.User, Password: w.IMAP.Password}, {User: w.IMAP.User}} {
		c, err := imapclient.DialTLS(w.IMAP.Address, &imapclient.Options{TLSConfig: trusting(t, w)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var said *imap.Error
		if err := c.Login(a.User, a.Password).Wait(); !errors.As(err, &said) || said.Code != imap.ResponseCodeAuthenticationFailed {
			t.Errorf("signing in as %q with a wrong password gave %v", a.User, err)
		}
	}
}

func TestIdleTellsOfMailThatComes(t *testing.T) {
	w := start(t, Options{})
	exists := make(chan uint32, 10)
	c := imapSignIn(t, w, exists, nil)
	before := inbox(t, c).NumMessages
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint32(2) {
		if err := w.imap.add([]byte("Subject: x\r\n\r\nx\r\n"), time.Now()); err != nil {
			t.Fatal(err)
		}
		if n := await(t, exists); n != before+i+1 {
			t.Errorf("%d mails exist, want %d", n, before+i+1)
		}
	}
	idle.Close()
	if err := idle.Wait(); err != nil {
		t.Error(err)
	}
}

func TestIdleTellsOfMailThatCameJustBefore(t *testing.T) {
	w := start(t, Options{})
	exists := make(chan uint32, 10)
	c := imapSignIn(t, w, exists, nil)
	before := inbox(t, c).NumMessages
	if err := w.imap.add([]byte("Subject: x\r\n\r\nx\r\n"), time.Now()); err != nil {
		t.Fatal(err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	if n := await(t, exists); n != before+1 {
		t.Errorf("%d mails exist, want %d", n, before+1)
	}
	idle.Close()
	if err := idle.Wait(); err != nil {
		t.Error(err)
	}
}

func TestMailIsFoundOnceItWasAnnounced(t *testing.T) {
	w := start(t, Options{})
	c := imapSignIn(t, w, nil, nil)
	inbox(t, c)
	before := uidSearch(t, c)
	if err := w.imap.add([]byte("Subject: x\r\n\r\nx\r\n"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := uidSearch(t, c); !slices.Equal(got, before) {
		t.Errorf("before its EXISTS the search gives %v, want %v", got, before)
	}
	for _, stop := range []imap.UID{0, 1, 9} {
		// The server announces after each UID FETCH, so each set is asked for in a session of its own.
		d := imapSignIn(t, w, nil, nil)
		next := inbox(t, d).UIDNext
		if err := w.imap.add([]byte("Subject: y\r\n\r\ny\r\n"), time.Now()); err != nil {
			t.Fatal(err)
		}
		set := imap.UIDSet{{Start: next, Stop: next + stop}}
		if got, err := d.Fetch(set, &imap.FetchOptions{UID: true}).Collect(); err != nil || len(got) != 0 {
			t.Errorf("before its EXISTS the fetch of %v gives %v, %v", set, got, err)
		}
		if got, err := d.Fetch(set, &imap.FetchOptions{UID: true}).Collect(); err != nil || len(got) != 1 || got[0].UID != next {
			t.Errorf("after its EXISTS the fetch of %v gives %v, %v", set, got, err)
		}
	}
	if err := c.Noop().Wait(); err != nil {
		t.Fatal(err)
	}
	if got := uidSearch(t, c); len(got) != len(before)+4 {
		t.Errorf("after its EXISTS the search gives %v", got)
	}
}

func TestAnnouncedPartOfAUIDSet(t *testing.T) {
	s := &imapSession{told: 7}
	for _, c := range []struct{ asked, want imap.UIDSet }{
		{imap.UIDSet{{Start: 1, Stop: 0}}, imap.UIDSet{{Start: 1, Stop: 7}}},
		{imap.UIDSet{{Start: 0, Stop: 0}}, imap.UIDSet{{Start: 7, Stop: 7}}},
		{imap.UIDSet{{Start: 9, Stop: 0}}, imap.UIDSet{{Start: 7, Stop: 7}}}, // RFC 9051 section 9: "9:*" always holds the last
		{imap.UIDSet{{Start: 9, Stop: 3}}, imap.UIDSet{{Start: 3, Stop: 7}}},
		{imap.UIDSet{{Start: 8, Stop: 8}}, nil},
		{imap.UIDSet{{Start: 2, Stop: 2}, {Start: 6, Stop: 8}}, imap.UIDSet{{Start: 2, Stop: 2}, {Start: 6, Stop: 7}}},
	} {
		if got := s.announced(c.asked); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("of %v %v was announced, want %v", c.asked, got, c.want)
		}
	}
	if got := s.announced(imap.SeqSetNum(9)).(imap.SeqSet); fmt.Sprint(got) != "9" {
		t.Errorf("message numbers became %v", got)
	}
}

func TestSettlingByIMAP(t *testing.T) {
	w := start(t, Options{})
	expunged := make(chan uint32, 10)
	c := imapSignIn(t, w, nil, expunged)
	inbox(t, c)
	uids := uidSearch(t, c)

	if err := c.Store(imap.UIDSetNum(uids[0]), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	seen, err := c.UIDSearch(&imap.SearchCriteria{Flag: []imap.Flag{imap.FlagSeen}}, nil).Wait()
	if err != nil || !slices.Equal(seen.AllUIDs(), uids[:1]) {
		t.Errorf("seen are %v, %v", seen.AllUIDs(), err)
	}

	if err := c.Create("Processed", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	moved, err := c.Move(imap.UIDSetNum(uids[1:3]...), "Processed").Wait()
	if err != nil || moved.SourceUIDs.String() != imap.UIDSetNum(uids[1:3]...).String() {
		t.Fatalf("moved %+v, %v", moved, err)
	}
	if a, b := await(t, expunged), await(t, expunged); a != 3 || b != 2 {
		t.Errorf("MOVE told of the expunging of %d and %d, want 3 and 2", a, b)
	}
	if none, err := c.Move(imap.UIDSetNum(99), "Processed").Wait(); err != nil {
		t.Errorf("moving nothing gave %+v, %v", none, err)
	}

	gone := imap.UIDSetNum(uids[3])
	if err := c.Store(gone, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.UIDExpunge(gone).Close(); err != nil {
		t.Fatal(err)
	}
	if got := uidSearch(t, c); !slices.Equal(got, uids[:1]) {
		t.Errorf("left are %v, want %v", got, uids[:1])
	}
	select {
	case n := <-expunged:
		t.Errorf("also told of the expunging of %d", n)
	default:
	}
	there, err := c.Status("Processed", &imap.StatusOptions{NumMessages: true}).Wait()
	if err != nil || *there.NumMessages != 2 {
		t.Errorf("Processed: %+v, %v", there, err)
	}
}

func TestMailboxIsBounded(t *testing.T) {
	w := start(t, Options{})
	st, err := w.imap.user.Status("INBOX", &imap.StatusOptions{Size: true})
	if err != nil {
		t.Fatal(err)
	}
	w.imap.room = *st.Size + 100
	for i, want := range []error{nil, nil, errFull} {
		if err := w.imap.add(bytes.Repeat([]byte("x"), 50), time.Now()); err != want {
			t.Errorf("mail %d of 50 octets where 100 are free: %v", i+1, err)
		}
	}
	c := imapSignIn(t, w, nil, nil)
	a := c.Append("INBOX", 50, nil)
	a.Write(make([]byte, 50))
	a.Close()
	var said *imap.Error
	if _, err := a.Wait(); !errors.As(err, &said) || said.Code != imap.ResponseCodeOverQuota {
		t.Errorf("APPEND to a full mailbox gave %v", err)
	}
}

func TestSearchFindsAsManyMailsAsWereAnnounced(t *testing.T) {
	w := start(t, Options{})
	c := imapSignIn(t, w, nil, nil)
	inbox(t, c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2000 {
			w.imap.add([]byte("Subject: x\r\n\r\nx\r\n"), time.Now())
		}
	}()
	for more := true; more; {
		select {
		case <-done:
			more = false
		default:
		}
		if err := c.Noop().Wait(); err != nil {
			t.Fatal(err)
		}
		if found, told := len(uidSearch(t, c)), c.Mailbox().NumMessages; found != int(told) {
			t.Fatalf("%d mails were announced, %d found", told, found)
		}
	}
	if n := c.Mailbox().NumMessages; int(n) != len(imapSamples)+2000 {
		t.Errorf("%d mails exist", n)
	}
}
