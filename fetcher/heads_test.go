package fetcher

import (
	"fmt"
	"slices"
	"testing"

	"github.com/postferry/postferry/spool"
)

// old are so many mails under UIDVALIDITY 1.
func old(n int) (mails []*stored) {
	for i := range n {
		m := mail(fmt.Sprintf("1/%d", i+1))
		mails = append(mails, m)
	}
	return mails
}

func TestARenumberedBoxIsRecognisedWithoutItsBodies(t *testing.T) {
	for _, test := range []struct {
		fact     string
		there    int // before the first run
		backfill Backfill
		polls    int // before the reset
		headless string
		want     string // of the poll after it
	}{
		{"mail that was taken", 1200, Backfill{All: true}, 1, "", "listed 1202 fresh 2 taken 2 recognised 1200"},
		{"mail that was there before the first run", 1200, Backfill{}, 3, "", "listed 1202 fresh 2 taken 2 recognised 1200"},
		{"mail there before the first run that was not looked at yet is taken, never lost", 1200, Backfill{}, 2, "", "listed 1202 fresh 202 taken 202 recognised 1000"},
		{"mail whose head cannot be had is taken, and keeps no other from being learned", 1200, Backfill{}, 3, "1/1", "listed 1202 fresh 3 taken 3 recognised 1199"},
		{"a server that gives no heads", 10, Backfill{}, 3, "all", "listed 12 fresh 12 taken 12"},
	} {
		t.Run(test.fact, func(t *testing.T) {
			s := &server{headless: test.headless}
			s.add("INBOX", old(test.there)...)
			m := mailbox(s)
			m.Backfill = test.backfill
			h := newHouse(t, spool.Options{}, m)
			defer h.close()
			for range test.polls {
				h.once()
			}
			s.renumber("INBOX", 2)
			s.add("INBOX", mail("2/5000"), mail("2/5001"))
			wantReport(t, h.once(), test.want)
			s.headed = nil
			wantReport(t, h.once(), fmt.Sprintf("listed %d", test.there+2))
		})
	}
}

func TestAfterAResetOnlyWhatIsNewIsRetrieved(t *testing.T) {
	s := &server{}
	s.add("INBOX", old(20)...)
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	h.once()
	s.renumber("INBOX", 2)
	s.add("INBOX", mail("2/99"))
	s.got = nil
	h.once()
	if !slices.Equal(s.got, []string{"2/99"}) {
		t.Errorf("retrieved %v", s.got)
	}
	if n := h.logs.count("renumbered"); n != 1 {
		t.Errorf("the reset was told %d times", n)
	}
}

func TestAResetIsToldOnceThoughSomeOfTheMailsAreGone(t *testing.T) {
	s := &server{}
	s.add("INBOX", old(20)...)
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	h.once()
	s.renumber("INBOX", 2)
	s.boxes["INBOX"] = s.boxes["INBOX"][:15]
	for i := range 3 {
		s.add("INBOX", mail(fmt.Sprintf("2/%d", 100+i)))
		h.once()
	}
	if n := h.logs.count("renumbered"); n != 1 {
		t.Errorf("the reset was told %d times", n)
	}
}

func TestHeadsAreReadOnceAndOnlyOfMailThatWasSkipped(t *testing.T) {
	s := &server{}
	s.add("INBOX", old(700)...)
	m := mailbox(s)
	m.Backfill = Backfill{}
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	for i, want := range []int{500, 201, 0} {
		s.add("INBOX", mail(fmt.Sprintf("1/%d", 1000+i))) // the first before the baseline
		s.headed = nil
		h.once()
		if len(s.headed) != want {
			t.Errorf("poll %d: %d heads read, want %d", i+1, len(s.headed), want)
		}
	}
}
