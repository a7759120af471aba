package fetcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/spool"
)

// run tends the mailboxes in a bubble of synctest, in which time passes when
// nothing else happens, while test looks on.
func run(t *testing.T, test func(t *testing.T, h *house), mailboxes ...*Mailbox) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		for _, m := range mailboxes { // channels belong to the bubble they are made in
			m.Source.(interface{ renew() }).renew()
		}
		h := newHouse(t, spool.Options{}, mailboxes...)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); h.Run(ctx) }()
		test(t, h)
		cancel()
		<-ended
		h.close()
	})
}

// gaps are the times between what happened.
func gaps(at []time.Time) (d []time.Duration) {
	for i := 1; i < len(at); i++ {
		d = append(d, at[i].Sub(at[i-1]))
	}
	return d
}

func TestAMailboxIsPolledAtOnceAndThenOnItsSchedule(t *testing.T) {
	s := &server{}
	m := mailbox(s)
	run(t, func(t *testing.T, h *house) {
		start := time.Now()
		time.Sleep(10*time.Minute + time.Second)
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.listed[0].Equal(start) {
			t.Errorf("the first poll was after %v", s.listed[0].Sub(start))
		}
		late := jitter(m.Name, time.Minute)
		for i, d := range gaps(s.listed) {
			if d != time.Minute+late {
				t.Errorf("gap %d is %v, want %v", i, d, time.Minute+late)
			}
		}
		if len(s.listed) < 9 {
			t.Errorf("%d polls in ten minutes", len(s.listed))
		}
	}, m)
}

func TestJitterSpreadsMailboxes(t *testing.T) {
	seen := map[time.Duration]bool{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		d := jitter(name, time.Minute)
		if d < 0 || d > 6*time.Second || d != jitter(name, time.Minute) {
			t.Errorf("jitter of %s is %v", name, d)
		}
		seen[d] = true
		if d := jitter(name, 24*time.Hour); d > maxJitter {
			t.Errorf("jitter of a day is %v", d)
		}
	}
	if len(seen) < 8 {
		t.Errorf("8 mailboxes have %d delays", len(seen))
	}
}

func TestAScheduleThatEndsLeavesSettlementsToBeCarriedOut(t *testing.T) {
	s := &server{}
	s.add("INBOX", mail("1"))
	m := mailbox(s)
	m.Schedule = every(0)
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		h.deliver(t.Context(), 1)
		time.Sleep(settleGap + time.Second)
		synctest.Wait()
		if opened, listed := s.counts(); opened != 2 || listed != 1 || s.look().settled != 1 {
			t.Errorf("%d sessions, %d listings, %d settled", opened, listed, s.look().settled)
		}
		time.Sleep(24 * time.Hour)
		if _, listed := s.counts(); listed != 1 {
			t.Errorf("%d listings after a day", listed)
		}
	}, m)
}

func TestDeliveriesAreSettledBetweenPolls(t *testing.T) {
	s := &server{}
	s.add("INBOX", mail("1"), mail("2"))
	m := mailbox(s)
	m.Schedule = every(time.Hour)
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		h.deliver(t.Context(), 2)
		time.Sleep(settleGap + time.Millisecond)
		synctest.Wait()
		if opened, listed := s.counts(); opened != 2 || listed != 1 || s.look().settled != 2 {
			t.Errorf("%d sessions, %d listings, %d settled", opened, listed, s.look().settled)
		}
	}, m)
}

func TestADeclinedSettlementWaitsForTheNextPoll(t *testing.T) {
	s := &server{decline: func(d spool.Settlement) error {
		return &Error{Op: "settling", UID: d.UID, Err: errors.New("NO")}
	}}
	s.add("INBOX", mail("1"))
	m := mailbox(s)
	m.Schedule = every(time.Hour)
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		h.deliver(t.Context(), 1)
		time.Sleep(50 * time.Minute)
		if opened, _ := s.counts(); opened != 2 {
			t.Errorf("%d sessions in an hour", opened)
		}
		time.Sleep(60 * time.Minute)
		if opened, _ := s.counts(); opened != 3 {
			t.Errorf("%d sessions in two hours", opened)
		}
	}, m)
}

func TestAFailingMailboxIsTriedLaterAndLater(t *testing.T) {
	s := &server{refuse: Errorf(Unreachable, "connecting", "", "no route")}
	m := mailbox(s)
	m.Schedule = every(time.Second)
	run(t, func(t *testing.T, h *house) {
		time.Sleep(40 * time.Minute)
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, d := range gaps(s.opened) {
			base := sessionWaits[min(i, len(sessionWaits)-1)]
			if d < base || d > base*3/2+2*time.Second {
				t.Errorf("try %d came after %v, want %v to half as much again", i+2, d, base)
			}
		}
		if n := h.logs.count("mailbox failed"); n != 1 {
			t.Errorf("the same failure was logged %d times", n)
		}
	}, m)
}

func TestAFullStoreIsTriedAgainSoon(t *testing.T) {
	s := &server{refuse: fmt.Errorf("taking a mail: %w", spool.ErrFull)}
	m := mailbox(s)
	m.Schedule = every(time.Second)
	run(t, func(t *testing.T, h *house) {
		time.Sleep(40 * time.Minute)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.opened) < 40*60/20 {
			t.Errorf("%d tries in 40 minutes", len(s.opened))
		}
		for i, d := range gaps(s.opened) {
			if d > fullWait+2*time.Second {
				t.Errorf("try %d came after %v, want %v at most", i+2, d, fullWait)
			}
		}
	}, m)
}

func TestAMailboxThatRecoversIsPolledOnItsScheduleAgain(t *testing.T) {
	s := &server{refuse: Errorf(Unreachable, "connecting", "", "no route")}
	m := mailbox(s)
	run(t, func(t *testing.T, h *house) {
		time.Sleep(20 * time.Minute)
		s.mu.Lock()
		s.refuse = nil
		s.mu.Unlock()
		time.Sleep(20 * time.Minute)
		s.mu.Lock()
		defer s.mu.Unlock()
		last := gaps(s.listed)
		if want := time.Minute + jitter(m.Name, time.Minute); len(last) < 5 || last[len(last)-1] != want {
			t.Errorf("gaps %v, want %v", last, want)
		}
		if h.logs.count("mailbox recovered") != 1 {
			t.Error("the recovery was not logged")
		}
	}, m)
}

func TestARefusedSignInIsTriedADozenTimesADayAtMost(t *testing.T) {
	s := &server{refuse: &Error{Radius: AccountRadius, Cause: Refused, Op: "signing in", Err: errors.New("no")}}
	m := mailbox(s)
	m.Schedule = every(time.Second)
	run(t, func(t *testing.T, h *house) {
		for day := range 7 {
			before, _ := s.counts()
			time.Sleep(24 * time.Hour)
			if after, _ := s.counts(); after-before > 12 || after == before {
				t.Errorf("day %d: %d tries", day, after-before)
			}
		}
	}, m)
}

func TestAMailboxIsNeverVisitedTwiceAtATime(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		s := &server{lasting: lasting}
		m := mailbox(s)
		m.Schedule, m.Idle = every(time.Second), lasting
		run(t, func(t *testing.T, h *house) {
			for i := range 50 {
				s.add("INBOX", mail(string(rune('a'+i))))
				time.Sleep(rand.N(3 * time.Second))
				go h.deliver(t.Context(), 1)
			}
			time.Sleep(time.Minute)
			if s.look().most != 1 || s.look().settled != 50 {
				t.Errorf("%d sessions at a time, %d settled", s.look().most, s.look().settled)
			}
		}, m)
	}
}

func TestAMailboxThatHangsDoesNotHoldUpTheOthers(t *testing.T) {
	bad := &server{refuse: Errorf(Unreachable, "connecting", "", "no route")}
	good := &server{}
	first, second := mailbox(bad), mailbox(good)
	first.Name, first.Account = "first", "bob@example.com"
	run(t, func(t *testing.T, h *house) {
		time.Sleep(10 * time.Minute)
		if _, listed := good.counts(); listed < 8 {
			t.Errorf("%d polls in ten minutes", listed)
		}
	}, first, second)
}

// A folder that cannot be, as a webhook's answer may name one: the server is asked less
// and less often, and somebody is told.
func TestASettlementThatTheServerNeverCarriesOutIsTriedOnceADay(t *testing.T) {
	var mu sync.Mutex
	tries := map[string][]time.Time{}
	s := &server{decline: func(d spool.Settlement) error {
		if d.UID == "3" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		tries[d.UID] = append(tries[d.UID], time.Now())
		return &Error{Op: "settling (move:a\\b)", UID: d.UID, Err: errors.New("NO [CANNOT] no such name")}
	}}
	s.add("INBOX", mail("1"), mail("2"), mail("3"))
	m := mailbox(s)
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		h.deliver(t.Context(), 3)
		time.Sleep(3 * 24 * time.Hour)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for uid, at := range tries {
			d := gaps(at)
			if len(d) != 7 {
				t.Fatalf("settlement of %s: %d tries in three days", uid, len(at))
			}
			for i, want := range []time.Duration{0, 0, 10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 24 * time.Hour} {
				if d[i] < want || d[i] > want+2*time.Minute {
					t.Errorf("settlement of %s: try %d came after %v, want %v", uid, i+2, d[i], want)
				}
			}
		}
		if len(tries) != 2 || s.look().settled != 1 {
			t.Errorf("%d are declined, %d settled", len(tries), s.look().settled)
		}
		told := h.events()
		if len(told) != 1 || told[0].What != Declined || !strings.Contains(told[0].Err.Error(), "2 settlements") || !strings.Contains(told[0].Err.Error(), "NO [CANNOT] no such name") {
			t.Errorf("events %v", told)
		}
		st, err := h.sp.Status(t.Context())
		if err != nil || st.Mailboxes[0].Settlements != 2 || st.Mailboxes[0].Declined != 2 {
			t.Errorf("status %+v, %v", st.Mailboxes, err)
		}
	}, m)
}
