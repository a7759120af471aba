package fetcher

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/spool"
)

var wrong = &Error{Radius: AccountRadius, Cause: Refused, Op: "signing in", Err: errors.New("NO wrong password")}

// restarted is a Fetcher of another process on the same store.
func (h *house) restarted(now clock.Clock, mailboxes ...*Mailbox) *Fetcher {
	return New(h.sp, mailboxes, Options{Clock: now})
}

func TestARefusedSignInIsRememberedOverRestarts(t *testing.T) {
	s := &server{refuse: wrong}
	m := mailbox(s)
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	now := clock.NewFake(time.Now())
	for range 50 { // a restart every ten seconds
		if r := h.restarted(now, m).Once(t.Context())[0]; CauseOf(r.Err) != Refused || RadiusOf(r.Err) != AccountRadius {
			t.Fatalf("Once = %v", r.Err)
		}
		now.Advance(10 * time.Second)
	}
	if opened, _ := s.counts(); opened != 2 { // at once and after a minute
		t.Errorf("signed in %d times in eight minutes", opened)
	}
}

func TestWhoeverAsksEveryMinuteSignsInADozenTimesADay(t *testing.T) {
	s := &server{refuse: wrong}
	m := mailbox(s)
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	now := clock.NewFake(time.Now())
	f := h.restarted(now, m)
	var tried []time.Time
	for range 3 * 24 * 60 {
		f.Once(t.Context())
		if opened, _ := s.counts(); opened > len(tried) {
			tried = append(tried, now.Now())
		}
		now.Advance(time.Minute)
	}
	if len(tried) < 20 {
		t.Errorf("only %d tries in three days", len(tried))
	}
	for i := range tried {
		if j := i + refusedMost; j < len(tried) && tried[j].Sub(tried[i]) < 24*time.Hour {
			t.Errorf("%d tries within %v", refusedMost+1, tried[j].Sub(tried[i]))
		}
	}
}

func TestOtherCredentialsAreTriedAtOnce(t *testing.T) {
	s := &server{refuse: wrong}
	m := mailbox(s)
	m.SignIn = "1"
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	now := clock.NewFake(time.Now())
	for range 5 {
		h.restarted(now, m).Once(t.Context())
	}
	m.SignIn = "2"
	s.refuse = nil
	if r := h.restarted(now, m).Once(t.Context())[0]; r.Err != nil {
		t.Fatal(r.Err)
	}
	s.refuse = wrong // what was refused before counts no more
	h.restarted(now, m).Once(t.Context())
	now.Advance(time.Minute)
	before, _ := s.counts()
	h.restarted(now, m).Once(t.Context())
	if opened, _ := s.counts(); opened != before+1 {
		t.Errorf("%d further tries a minute after the first refusal, want 1", opened-before)
	}
}

func TestARefusalHoldsForAllMailboxesOfTheAccount(t *testing.T) {
	s := &server{refuse: wrong}
	var all []*Mailbox
	for i := range 5 {
		m := mailbox(s)
		m.Name = fmt.Sprint("m", i)
		all = append(all, m)
	}
	h := newHouse(t, spool.Options{}, all...)
	defer h.close()
	for _, r := range h.Once(t.Context()) {
		if CauseOf(r.Err) != Refused {
			t.Errorf("%s: %v", r.Mailbox, r.Err)
		}
	}
	if opened, _ := s.counts(); opened != 1 {
		t.Errorf("signed in %d times", opened)
	}
}

func TestAnAccountHasNoMoreSessionsThanItsBudget(t *testing.T) {
	var all []*Mailbox
	s, _ := watched()
	for i := range 6 {
		m := mailbox(s)
		m.Name, m.Idle, m.Boxes, m.Budget.Connections = fmt.Sprint("m", i), true, []string{fmt.Sprint("b", i)}, 3
		all = append(all, m)
	}
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		for i := range all {
			s.add(fmt.Sprint("b", i), mail(fmt.Sprint("u", i)))
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		l := s.look()
		if l.most != 3 || l.open != 2 || l.got != len(all) {
			t.Errorf("at most %d sessions, %d stay, %d mails taken", l.most, l.open, l.got)
		}
	}, all...)
}

func TestWhereAllFindRoomAllMailboxesStay(t *testing.T) {
	var all []*Mailbox
	s, _ := watched()
	for i := range 3 {
		m := mailbox(s)
		m.Name, m.Idle, m.Budget.Connections = fmt.Sprint("m", i), true, 3
		all = append(all, m)
	}
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		if l := s.look(); l.open != 3 {
			t.Errorf("%d sessions stay", l.open)
		}
	}, all...)
}

func TestTheOctetsOfADayAreBounded(t *testing.T) {
	s := &server{}
	for i := range 2*chunk + 1 {
		s.add("INBOX", mail(fmt.Sprint(i)))
	}
	m := mailbox(s)
	m.Policy.After.Verb = spool.Keep
	m.Budget.Octets = 10
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	now := clock.NewFake(time.Now())
	for i, want := range []int{chunk, 0, 0, chunk, 0} {
		r := h.restarted(now, m).Once(t.Context())[0]
		if r.Err != nil || r.Taken != want {
			t.Errorf("poll %d took %d, %v, want %d", i, r.Taken, r.Err, want)
		}
		now.Advance(8*time.Hour + time.Minute)
	}
}

func TestConnectionsToAHostGrowAsItAnswers(t *testing.T) {
	h := newHost()
	room := func() (n int) {
		for h.room.TryAcquire(1) {
			n++
		}
		for range n {
			h.end()
		}
		return n
	}
	if n := room(); n != 4 {
		t.Errorf("%d at first, want 4", n)
	}
	for range 16 {
		h.judge(true)
	}
	if n := room(); n != 20 {
		t.Errorf("%d after 16 successes, want 20", n)
	}
	h.judge(false)
	if n := room(); n != 10 {
		t.Errorf("%d after a failure, want 10", n)
	}
	for range 10 {
		h.judge(false)
	}
	if n := room(); n != 4 {
		t.Errorf("%d after many failures, want 4", n)
	}
	for range 1000 {
		h.judge(true)
	}
	if n := room(); n != 64 {
		t.Errorf("%d after many successes, want 64", n)
	}
}

func TestPresets(t *testing.T) {
	for _, c := range []struct {
		protocol, host string
		want           Budget
	}{
		{"imap", "imap.gmail.com", Budget{10, 2_000_000_000}},
		{"pop3", "pop.gmail.com", Budget{2, 1_000_000_000}},
		{"imap", "Outlook.Office365.com", Budget{10, 0}},
		{"imap", "notgmail.com", Budget{8, 0}},
		{"imap", "imap.example.com", Budget{8, 0}},
	} {
		if got := Preset(c.protocol, c.host); got != c.want {
			t.Errorf("%s at %s: %+v, want %+v", c.protocol, c.host, got, c.want)
		}
	}
}
