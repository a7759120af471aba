package fetcher

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/spool"
)

// watched is a mailbox whose server can be waited on.
func watched() (*server, *Mailbox) {
	s := &server{lasting: true}
	m := mailbox(s)
	m.Idle, m.Schedule = true, every(time.Hour)
	return s, m
}

func TestNewsAreTakenAtOnceInTheOpenSession(t *testing.T) {
	s, m := watched()
	m.SettleWait = MaxSettleWait // an open session need not wait to settle
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		start := time.Now()
		for i := range 5 {
			s.add("INBOX", mail(string(rune('a'+i))))
			s.tell()
			synctest.Wait()
		}
		if opened, listed := s.counts(); opened != 1 || listed != 6 || s.look().got != 5 || time.Since(start) != 0 {
			t.Errorf("%d sessions, %d listings, %d mails, after %v", opened, listed, s.look().got, time.Since(start))
		}
	}, m)
}

func TestAServerThatNeverTellsIsListedInTime(t *testing.T) {
	s, m := watched()
	run(t, func(t *testing.T, h *house) {
		for i := range 12 {
			synctest.Wait()
			s.add("INBOX", mail(string(rune('a'+i))))
			arrived := time.Now()
			for s.look().got <= i {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if d := time.Since(arrived); d > 5*time.Minute+30*time.Second {
				t.Errorf("mail %d was taken after %v", i, d)
			}
		}
		if opened, _ := s.counts(); opened != 1 {
			t.Errorf("%d sessions", opened)
		}
	}, m)
}

func TestTheScheduleHoldsInAnOpenSession(t *testing.T) {
	s, m := watched()
	m.Schedule = every(time.Minute)
	run(t, func(t *testing.T, h *house) {
		time.Sleep(10*time.Minute + time.Second)
		want := time.Minute + jitter(m.Name, time.Minute)
		for i, d := range gaps(s.look().listed) {
			if d != want {
				t.Errorf("gap %d is %v, want %v", i, d, want)
			}
		}
		if opened, _ := s.counts(); opened != 1 || len(s.look().listed) < 9 {
			t.Errorf("%d sessions, %d listings", opened, len(s.look().listed))
		}
	}, m)
}

func TestDeliveriesAreSettledInTheOpenSession(t *testing.T) {
	s, m := watched()
	m.SettleWait = MaxSettleWait
	s.add("INBOX", mail("1"), mail("2"))
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		h.deliver(t.Context(), 2)
		time.Sleep(settleGap + time.Millisecond)
		synctest.Wait()
		if opened, listed := s.counts(); opened != 1 || listed != 1 || s.look().settled != 2 {
			t.Errorf("%d sessions, %d listings, %d settled", opened, listed, s.look().settled)
		}
	}, m)
}

func TestADeclinedSettlementWaitsForTheNextPollOfAnOpenSession(t *testing.T) {
	s, m := watched()
	var tries atomic.Int64
	s.decline = func(d spool.Settlement) error {
		tries.Add(1)
		return &Error{Op: "settling", UID: d.UID, Err: ErrFinished}
	}
	s.add("INBOX", mail("1"))
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		h.deliver(t.Context(), 1)
		time.Sleep(4 * time.Minute)
		if tries.Load() != 1 {
			t.Errorf("%d tries before the next poll", tries.Load())
		}
		time.Sleep(2 * time.Minute)
		if tries.Load() != 2 {
			t.Errorf("%d tries after it", tries.Load())
		}
	}, m)
}

func TestASessionThatEndsIsOpenedAgain(t *testing.T) {
	s, m := watched()
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		s.add("INBOX", mail("1"))
		close(s.breaks)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if opened, _ := s.counts(); opened != 2 || s.look().got != 1 || s.look().open != 1 {
			t.Errorf("%d sessions opened, %d open, %d mails", opened, s.look().open, s.look().got)
		}
		if h.logs.count("level=ERROR") != 0 {
			t.Errorf("an ended session was logged as an error")
		}
		s.add("INBOX", mail("2"))
		s.tell()
		synctest.Wait()
		if s.look().got != 2 {
			t.Errorf("%d mails", s.look().got)
		}
	}, m)
}

func TestASignInThatIsRefusedLaterIsNotRepeatedSoon(t *testing.T) {
	s, m := watched()
	m.Schedule = every(time.Minute)
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		s.mu.Lock()
		s.refuse = &Error{Radius: AccountRadius, Cause: Refused, Op: "signing in", Err: ErrFinished}
		s.mu.Unlock()
		close(s.breaks)
		time.Sleep(24 * time.Hour)
		if opened, _ := s.counts(); opened > 13 {
			t.Errorf("%d sign-ins in a day", opened)
		}
	}, m)
}

func TestNewsWithoutMailAreFollowedMoreAndMoreSlowly(t *testing.T) {
	s, m := watched()
	s.restless = true
	run(t, func(t *testing.T, h *house) {
		time.Sleep(10 * time.Minute)
		if _, listed := s.counts(); listed < 10 || listed > 60 {
			t.Errorf("%d listings in ten minutes", listed)
		}
	}, m)
}

func TestASessionThatCannotWaitIsPolledOnItsSchedule(t *testing.T) {
	s := &server{}
	m := mailbox(s)
	m.Idle = true
	run(t, func(t *testing.T, h *house) {
		time.Sleep(10 * time.Minute)
		if opened, listed := s.counts(); listed < 8 || opened != listed || s.look().open != 0 {
			t.Errorf("%d sessions, %d listings, %d open", opened, listed, s.look().open)
		}
	}, m)
}

func TestTheAgeOfTheListingIsKept(t *testing.T) {
	_, m := watched()
	run(t, func(t *testing.T, h *house) {
		time.Sleep(time.Hour)
		st, err := h.sp.Status(t.Context())
		if err != nil || len(st.Mailboxes) != 1 || st.Mailboxes[0].Listed == nil || time.Since(*st.Mailboxes[0].Listed) > safetyPoll+maxJitter {
			t.Errorf("Status = %+v, %v", st.Mailboxes, err)
		}
	}, m)
}

func TestAnEndedRunClosesItsSessions(t *testing.T) {
	s, m := watched()
	run(t, func(t *testing.T, h *house) { synctest.Wait() }, m)
	if s.look().open != 0 {
		t.Errorf("%d sessions are open", s.look().open)
	}
}
