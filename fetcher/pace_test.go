package fetcher

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/spool"
)

// strict is a server that allows one sign-in in so much time.
type strict struct {
	*server
	announces bool

	mu      sync.Mutex
	delay   time.Duration
	well    []time.Time // sign-ins
	refused []time.Time
	now     func() time.Time
}

type strictSession struct {
	Session
	pause time.Duration
}

func (x strictSession) Pause() time.Duration { return x.pause }

func (s *strict) Open(ctx context.Context) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, said := s.now(), time.Duration(0)
	if s.announces {
		said = s.delay
	}
	if n := len(s.well); n > 0 && now.Sub(s.well[n-1]) < s.delay {
		s.refused = append(s.refused, now)
		err := &TooSoonError{Pause: said, Err: errors.New("-ERR [LOGIN-DELAY] wait")}
		return nil, &Error{Radius: SessionRadius, Cause: Temporary, Op: "signing in", Err: err}
	}
	x, err := s.server.Open(ctx)
	if err == nil {
		s.well = append(s.well, now)
	}
	return strictSession{x, said}, err
}

func (s *strict) signIns() (well, refused []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.well), slices.Clone(s.refused)
}

func (s *strict) allow(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = delay
}

// strictly is a mailbox on such a server, polled each minute.
func strictly(delay time.Duration, announces bool) (*strict, *Mailbox) {
	s := &strict{server: &server{}, delay: delay, announces: announces, now: time.Now}
	m := mailbox(s.server)
	m.Source = s
	return s, m
}

func TestAServerThatAnnouncesATimeBetweenSignInsIsPolledNoMoreOften(t *testing.T) {
	s, m := strictly(15*time.Minute, true)
	run(t, func(t *testing.T, h *house) {
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		well, refused := s.signIns()
		if len(refused) > 0 || len(well) < 90 || len(well) > 97 {
			t.Errorf("%d sign-ins and %d refusals in a day", len(well), len(refused))
		}
		told := h.events()
		if len(told) != 1 || told[0].What != Slowed || told[0].Mailbox != m.Name || !told[0].Next.Equal(well[0].Add(15*time.Minute+paceSlack)) {
			t.Errorf("events %v", told)
		}
		if p := h.Paces(); len(p) != 1 || p[0].Mailbox != m.Name || p[0].Pause != 15*time.Minute || p[0].Until.Before(time.Now()) {
			t.Errorf("paces %v", p)
		}
		s.allow(0) // it wants nothing any more
		time.Sleep(40 * time.Minute)
		if after, _ := s.signIns(); len(after)-len(well) < 20 || len(h.Paces()) > 0 {
			t.Errorf("%d sign-ins in the 40 minutes after, paces %v", len(after)-len(well), h.Paces())
		}
	}, m)
}

func TestAServerThatRefusesSignInsAsTooSoonIsGivenTheTimeItTakes(t *testing.T) {
	const delay = 15 * time.Minute
	s, m := strictly(delay, false)
	run(t, func(t *testing.T, h *house) {
		time.Sleep(24 * time.Hour)
		well, refused := s.signIns()
		if n := len(refused); n > 10 {
			t.Errorf("%d refusals in a day", n)
		}
		for i, gap := range gaps(well) {
			if gap > 2*delay+2*time.Minute {
				t.Errorf("sign-in %d came %v after the last", i+2, gap)
			}
		}
		if len(h.Paces()) != 1 {
			t.Errorf("paces %v after a day", h.Paces())
		}
		if told := h.events(); len(told) == 0 || slices.ContainsFunc(told, func(e Event) bool { return e.What != Slowed }) {
			t.Errorf("it was told as %v", told)
		}
		s.allow(0)
		time.Sleep(24 * time.Hour) // what was learned holds for a day
		before, _ := s.signIns()
		time.Sleep(20 * time.Minute)
		if after, _ := s.signIns(); len(after)-len(before) < 10 {
			t.Errorf("%d sign-ins in 20 minutes once the server wants nothing", len(after)-len(before))
		}
	}, m)
}

func TestTheTimeBetweenSignInsIsKeptOverRestarts(t *testing.T) {
	s, m := strictly(10*time.Minute, true)
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	now := clock.NewFake(time.Now())
	s.now = now.Now
	paused := 0
	for range 60 { // a run each minute
		r := h.restarted(now, m).Once(t.Context())[0]
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		if r.Paused {
			paused++
		}
		now.Advance(time.Minute)
	}
	if well, refused := s.signIns(); len(well) != 6 || len(refused) != 0 || paused != 54 {
		t.Errorf("%d sign-ins, %d refusals and %d runs without in an hour", len(well), len(refused), paused)
	}
}

func TestSettlementsWaitForTheTimeBetweenSignIns(t *testing.T) {
	s, m := strictly(15*time.Minute, true)
	m.Schedule = every(time.Hour)
	s.add("INBOX", mail("1"))
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		h.deliver(t.Context(), 1)
		time.Sleep(14 * time.Minute)
		if well, refused := s.signIns(); len(well) != 1 || len(refused) != 0 || s.look().settled != 0 {
			t.Errorf("%d sign-ins, %d refusals, %d settled", len(well), len(refused), s.look().settled)
		}
		time.Sleep(2 * time.Minute)
		if well, refused := s.signIns(); len(well) != 2 || len(refused) != 0 || s.look().settled != 1 {
			t.Errorf("%d sign-ins, %d refusals, %d settled once it may be", len(well), len(refused), s.look().settled)
		}
		if len(h.Paces()) != 0 {
			t.Errorf("a schedule that is slower is told as slowed down: %v", h.Paces())
		}
	}, m)
}

func TestAPauseIsNotListedAsWell(t *testing.T) {
	s, m := strictly(10*time.Minute, true)
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	now := clock.NewFake(time.Now())
	s.now = now.Now
	f := h.restarted(now, m)
	f.Once(t.Context())
	s.broken = map[string]error{"INBOX": Errorf(Temporary, "listing INBOX", "", "NO")}
	now.Advance(11 * time.Minute)
	f.Once(t.Context())
	now.Advance(time.Minute)
	if r := f.Once(t.Context())[0]; !r.Paused {
		t.Fatalf("report %+v", r)
	}
	st, err := h.sp.Status(t.Context())
	if err != nil || len(st.Mailboxes) != 1 || st.Mailboxes[0].Error == "" {
		t.Errorf("status %+v, %v: the failure is forgotten", st.Mailboxes, err)
	}
}
