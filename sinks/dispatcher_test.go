package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/internal/backoff"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/spool"
)

const day = 24 * time.Hour

func TestDeadAndHangingSinksDelayNoOther(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		live, dead, hung := accepts(), refuses(errDown), hangs()
		stop := w.run(map[string]Destination{"live": {Sink: live}, "dead": {Sink: dead}, "hung": {Sink: hung}}, Options{})
		w.takeAll(20)
		synctest.Wait()
		if got := live.subjects(); len(got) != 20 || w.sink("live").Delivered != 20 {
			t.Errorf("%d mails reached the live sink", len(got))
		}
		if passed := time.Since(w.start); passed != 0 {
			t.Errorf("they took %s", passed)
		}
		if s := w.sink("dead"); s.Deferred != 20 || s.Dead != 0 {
			t.Errorf("the dead sink has %+v", s)
		}
		stop()
	})
}

// Of a hundred destinations one hangs: the other ninety-nine have all their mail
// before any time has passed.
func TestOneOfAHundredHangs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		destinations, all := map[string]Destination{}, []*scripted{}
		for i := range 100 {
			s := accepts()
			if i == 50 {
				s = hangs()
			}
			all = append(all, s)
			destinations[fmt.Sprintf("s%02d", i)] = Destination{Sink: s, Concurrency: 2}
		}
		stop := w.run(destinations, Options{Grace: time.Nanosecond})
		w.takeAll(10)
		synctest.Wait()
		for i, s := range all {
			if n := len(s.subjects()); i != 50 && n != 10 {
				t.Errorf("sink %d got %d mails", i, n)
			}
		}
		if n := len(all[50].seen()); n != 2 {
			t.Errorf("the hanging sink has %d deliveries under way", n)
		}
		if passed := time.Since(w.start); passed != 0 {
			t.Errorf("that took %s", passed)
		}
		stop()
	})
}

func TestRetriesFollowTheScheduleThenTheMailIsDead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s, told := refuses(errDown), &events{}
		stop := w.run(map[string]Destination{"app": {Sink: s}}, Options{Observe: told.observe})
		w.take("one")
		time.Sleep(8 * day)
		var want []time.Duration
		at := time.Duration(0)
		for _, step := range []time.Duration{0, 5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute,
			2 * time.Hour, 5 * time.Hour, 10 * time.Hour, day, day, day, day, day, day} {
			at += step
			want = append(want, at)
		}
		tries := s.seen()
		var got []time.Duration
		for i, tr := range tries {
			got = append(got, tr.After)
			if tr.Attempt != i+1 || tr.ID != tries[0].ID || !strings.HasPrefix(tr.ID, "msg_") || !tr.Stamp.Equal(tries[0].Stamp) {
				t.Errorf("try %d is %+v", i+1, tr)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("tried after\n%v, not\n%v", got, want)
		}
		outcomes := told.of("app")
		last := outcomes[len(outcomes)-1]
		if last.State != spool.Dead || !strings.Contains(last.Attempt.Error, "given up after 14 attempts") || !strings.Contains(last.Attempt.Error, "connection refused") {
			t.Errorf("the end is %+v", last)
		}
		stop()
	})
}

// What fails together does not come back together.
func TestTenThousandDeferredAtOnceSpread(t *testing.T) {
	d := New(nil, nil, map[string]Destination{"app": {}}, Options{Random: rand.New(rand.NewPCG(1, 2)).Float64})
	l := d.lanes["app"]
	now := time.Now()
	buckets := map[int64]int{}
	for range 10_000 {
		at := time.Duration(0)
		for attempts := range 3 {
			c := &spool.Claim{Attempts: attempts, First: now, Item: &spool.Item{}}
			o := l.judge(c, spool.Attempt{At: now}, errDown)
			if o.State != spool.Deferred {
				t.Fatalf("%+v", o)
			}
			at += o.Next.Sub(now)
		}
		buckets[int64(at/time.Second)]++
	}
	for second, n := range buckets {
		if n > 200 {
			t.Errorf("%d of 10000 third retries come in second %d", n, second)
		}
	}
	if len(buckets) < 250 {
		t.Errorf("they come in %d different seconds", len(buckets))
	}
}

func TestSinkFaultHoldsTheSinkAndOneProbeFollowsTheSchedule(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var healthy atomic.Bool
		s := script(func(context.Context, *Delivery, int) error {
			if healthy.Load() {
				return nil
			}
			return SinkFault(errors.New("401 Unauthorized"))
		})
		stop := w.run(map[string]Destination{"app": {Sink: s, Concurrency: 1}}, Options{})
		w.takeAll(5)
		time.Sleep(10 * day) // longer than a mail is tried
		held := w.sink("app")
		if held.Held != "401 Unauthorized" || held.ProbeAt == nil || held.Pending+held.Deferred != 5 || held.Dead != 0 {
			t.Errorf("the sink is %+v", held)
		}
		tries := s.seen()
		steps := []time.Duration{5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, day}
		for i, tr := range tries {
			if i > 0 && tr.ID != tries[1].ID { // the first try may be that of the mail behind it
				t.Errorf("probe %d is another mail, %s", i, tr.Subject)
			}
			if i > 0 && i <= len(steps) && tr.After-tries[i-1].After != steps[i-1] {
				t.Errorf("probe %d came after %s", i, tr.After-tries[i-1].After)
			}
		}
		if len(tries) < 14 || len(tries) > 18 {
			t.Errorf("%d tries in ten days", len(tries))
		}
		healthy.Store(true)
		time.Sleep(day)
		if after := w.sink("app"); after.Held != "" || after.Delivered != 5 {
			t.Errorf("after the sink recovered it is %+v", after)
		}
		for _, tr := range s.seen()[len(tries):] {
			if tr.ID != tries[0].ID && tr.ID != tries[1].ID && tr.Attempt != 1 {
				t.Errorf("a mail that waited was tried before: %+v", tr)
			}
		}
		stop()
	})
}

func TestMailsUnderWayWhenTheSinkIsHeldAreNotHarmed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var healthy, down atomic.Bool
		s := script(func(ctx context.Context, d *Delivery, _ int) error {
			time.Sleep(time.Second)
			switch {
			case down.Load():
				return errDown
			case healthy.Load():
				return nil
			}
			return SinkFault(errors.New("401 Unauthorized"))
		})
		stop := w.run(map[string]Destination{"app": {Sink: s, Concurrency: 4}}, Options{})
		w.takeAll(12)
		time.Sleep(10 * day)
		if n := len(s.subjects()); n != 4 {
			t.Errorf("%d mails were tried while the sink was held, more than were under way", n)
		}
		healthy.Store(true)
		down.Store(true) // it answers again, but not well
		time.Sleep(2 * day)
		down.Store(false)
		time.Sleep(2 * day)
		if got := w.sink("app"); got.Delivered != 12 || got.Dead != 0 {
			t.Errorf("the sink ends as %+v", got)
		}
		stop()
	})
}

// A probe that never reached the sink says nothing of it: neither that it works
// nor that it does not.
func TestAProbeThatFailsBeforeTheSinkDoesNotResumeIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := script(func(_ context.Context, _ *Delivery, n int) error {
			if n == 1 {
				return SinkFault(errors.New("401 Unauthorized"))
			}
			return errDown
		})
		poison := func(m *parser.Message, _ Origin) (bool, error) {
			if *m.Subject == "poison" {
				return false, errors.New("division by zero")
			}
			return true, nil
		}
		stop := w.run(map[string]Destination{"app": {Sink: s, Concurrency: 1}}, Options{Routers: 1}, Route{To: "app", When: poison})
		w.take("m0")
		synctest.Wait()
		w.take("poison")
		synctest.Wait()
		for _, subject := range []string{"m1", "m2", "m3"} {
			w.take(subject)
			synctest.Wait()
		}
		// m0 fails, and as the probe after 5 s; 30 s later poison is the probe, and
		// m1 in its stead.
		time.Sleep(40 * time.Second)
		if got := s.subjects(); len(got) != 2 || got["m0"] != 2 || got["m1"] != 1 {
			t.Errorf("at a sink that is held there were tried %v", got)
		}
		if got := w.sink("app"); got.Held == "" || got.Dead != 1 {
			t.Errorf("the sink is %+v", got)
		}
		stop()
	})
}

func TestAProbeThatCannotBeReadDoesNotChangeWhyTheSinkIsHeld(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		destinations := map[string]Destination{"app": {Sink: refuses(SinkFault(errors.New("401 Unauthorized"))), Concurrency: 1}}
		stop := w.run(destinations, Options{})
		w.take("m0")
		synctest.Wait()
		stop()
		w.close()
		w.open()
		d := w.dispatcher(destinations, Options{})
		d.parse = func(io.ReaderAt, int64, parser.Limits) (*parser.Message, error) {
			return nil, errors.New("input/output error")
		}
		stop = w.runDispatcher(d)
		time.Sleep(6 * time.Second)
		if got := w.sink("app"); got.Held != "401 Unauthorized" || got.Deferred != 1 {
			t.Errorf("the sink is %+v", got)
		}
		stop()
	})
}

func TestOutcomesByTheMarkOfTheError(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		tries int // within three days
		state spool.State
		gap   time.Duration // between the first two tries; 0: not looked at
	}{
		{"permanent", Permanent(errDown), 1, spool.Dead, 0},
		{"wrapped permanent", fmt.Errorf("posting: %w", Permanent(errDown)), 1, spool.Dead, 0},
		{"mail fault", MailFault(errDown), 3, spool.Dead, 5 * time.Second},
		{"retry after two hours", RetryAfter(2*time.Hour, errDown), 9, spool.Deferred, 2 * time.Hour},
		{"retry after less than the schedule", RetryAfter(time.Second, errDown), 10, spool.Deferred, 5 * time.Second},
		{"retry after a year", RetryAfter(365*day, errDown), 4, spool.Deferred, day},
		{"retry after a negative time", RetryAfter(-day, errDown), 10, spool.Deferred, 5 * time.Second},
		{"unmarked", errDown, 10, spool.Deferred, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				s, told := refuses(c.err), &events{}
				stop := w.run(map[string]Destination{"app": {Sink: s}}, Options{Observe: told.observe})
				w.take("one")
				time.Sleep(3*day + time.Minute)
				tries, outcomes := s.seen(), told.of("app")
				if len(outcomes) == 0 || outcomes[len(outcomes)-1].State != c.state {
					t.Fatalf("the end is %+v", outcomes)
				}
				if c.name != "retry after two hours" && len(tries) != c.tries {
					t.Errorf("%d tries", len(tries))
				}
				if c.gap > 0 && tries[1].After-tries[0].After != c.gap {
					t.Errorf("the second try came after %s", tries[1].After-tries[0].After)
				}
				stop()
			})
		})
	}
}

func TestPoisonMailsAreSetAsideAndTheOthersFlow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s, other, told := accepts(), accepts(), &events{}
		broken := func(m *parser.Message, _ Origin) (bool, error) {
			switch *m.Subject {
			case "fails":
				return false, errors.New("division by zero")
			case "panics":
				panic("index out of range")
			}
			return true, nil
		}
		d := w.dispatcher(map[string]Destination{"app": {Sink: s}, "other": {Sink: other}}, Options{Observe: told.observe},
			Route{To: "app", When: broken}, Route{To: "other"})
		d.parse = func(r io.ReaderAt, size int64, l parser.Limits) (*parser.Message, error) {
			m, err := parser.Parse(r, size, l)
			if err == nil && *m.Subject == "crashes the parser" {
				panic("slice bounds out of range")
			}
			return m, err
		}
		stop := w.runDispatcher(d)
		for _, subject := range []string{"m0", "crashes the parser", "m1", "fails", "m2", "panics", "m3"} {
			w.take(subject)
		}
		synctest.Wait()
		if got := s.subjects(); len(got) != 4 || got["m3"] != 1 {
			t.Errorf("the sink got %v", got)
		}
		if got := other.subjects(); len(got) != 6 {
			t.Errorf("the other sink got %v", got)
		}
		if box := w.mailbox(); box.Quarantined != 1 {
			t.Errorf("the mailbox is %+v", box)
		}
		quarantined := slices.ContainsFunc(told.routings(), func(r spool.Routing) bool {
			return strings.Contains(r.Quarantine, "a defect in the parser: slice bounds out of range")
		})
		if !quarantined {
			t.Error("the quarantine has no reason")
		}
		var reasons []string
		for _, o := range told.of("app") {
			if o.State == spool.Dead {
				reasons = append(reasons, o.Attempt.Error)
			}
		}
		slices.Sort(reasons)
		if len(reasons) != 2 || !strings.Contains(reasons[0], "route 1, to app, failed: a defect in the condition: index out of range") ||
			!strings.Contains(reasons[1], "route 1, to app, failed: division by zero") {
			t.Errorf("the dead letters say %q", reasons)
		}
		stop()
	})
}

func TestAMailThatCannotBeReadIsTriedThreeTimesThenQuarantined(t *testing.T) {
	for _, c := range []struct {
		failures    int64
		quarantined int
	}{{2, 0}, {3, 1}} {
		inWorld(t, func(t *testing.T, w *world) {
			s, reads := accepts(), atomic.Int64{}
			d := w.dispatcher(map[string]Destination{"app": {Sink: s}}, Options{Routers: 1})
			d.parse = func(r io.ReaderAt, size int64, l parser.Limits) (*parser.Message, error) {
				if reads.Add(1) <= c.failures {
					return nil, errors.New("input/output error")
				}
				return parser.Parse(r, size, l)
			}
			stop := w.runDispatcher(d)
			w.take("one")
			time.Sleep(time.Minute)
			if got := w.mailbox().Quarantined; got != c.quarantined || len(s.seen()) != 1-c.quarantined {
				t.Errorf("after %d failures %d are quarantined and %d delivered", c.failures, got, len(s.seen()))
			}
			stop()
		})
	}
}

func TestASinkThatPanicsMakesADeadLetter(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		told := &events{}
		s := script(func(_ context.Context, d *Delivery, _ int) error {
			if *d.Message.Subject == "m0" {
				panic("nil map")
			}
			return nil
		})
		stop := w.run(map[string]Destination{"app": {Sink: s}}, Options{Observe: told.observe})
		w.takeAll(3)
		synctest.Wait()
		if got := w.sink("app"); got.Dead != 1 || got.Delivered != 2 {
			t.Errorf("the sink is %+v", got)
		}
		stop()
	})
}

func TestDeliveriesToARemovedSinkAreHeldAndComeWhenItIsBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		gone := refuses(errDown)
		stop := w.run(map[string]Destination{"app": {Sink: accepts()}, "gone": {Sink: gone}}, Options{})
		w.takeAll(3)
		synctest.Wait()
		stop()

		app := accepts()
		stop = w.run(map[string]Destination{"app": {Sink: app}}, Options{})
		w.take("later")
		time.Sleep(30 * day)
		if got := w.sink("gone"); got.Held != removed || got.Deferred+got.Pending != 3 || got.Dead != 0 {
			t.Errorf("the removed sink is %+v", got)
		}
		if err := w.spool.Drain(t.Context(), time.Now().Add(day)); err != nil {
			t.Error(err)
		}
		stop()

		back := accepts()
		stop = w.run(map[string]Destination{"app": {Sink: app}, "gone": {Sink: back}}, Options{})
		synctest.Wait()
		if got := w.sink("gone"); got.Held != "" || got.Delivered != 3 {
			t.Errorf("the sink that is back is %+v", got)
		}
		if back.seen()[0].Attempt != 2 {
			t.Errorf("its first try is %+v", back.seen()[0])
		}
		stop()
	})
}

func TestARouteToASinkThatIsNotThereIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		err := w.dispatcher(map[string]Destination{"app": {Sink: accepts()}}, Options{}, Route{To: "apq"}).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "mailbox in has a route to sink apq") {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestShutdownGivesClaimsBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		hung := hangs()
		stop := w.run(map[string]Destination{"app": {Sink: hung, Concurrency: 2}}, Options{Grace: 20 * time.Second})
		w.takeAll(3)
		synctest.Wait()
		before := time.Now()
		stop()
		if took := time.Since(before); took != 20*time.Second {
			t.Errorf("stopping took %s", took)
		}
		if got := w.sink("app"); got.Pending != 3 || got.Deferred+got.Dead != 0 {
			t.Errorf("the sink is %+v", got)
		}
		first := map[string]string{}
		for _, tr := range hung.seen() {
			first[tr.Subject] = tr.ID
		}
		w.close()
		w.open()
		s := accepts()
		stop = w.run(map[string]Destination{"app": {Sink: s}}, Options{})
		synctest.Wait()
		if n := len(s.subjects()); n != 3 {
			t.Errorf("%d mails came after the restart", n)
		}
		for _, tr := range s.seen() {
			if id := first[tr.Subject]; tr.Attempt != 1 || id != "" && id != tr.ID {
				t.Errorf("after the restart: %+v", tr)
			}
		}
		stop()
	})
}

// While the store cannot note what became of a mail, the mail is not delivered
// again.
func TestAFullDiskMakesNoDuplicates(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := accepts()
		stop := w.run(map[string]Destination{"app": {Sink: s}}, Options{})
		w.full.Store(true)
		w.takeAll(3)
		time.Sleep(day)
		if n := len(s.seen()); n != 3 {
			t.Errorf("3 mails were delivered %d times", n)
		}
		w.full.Store(false)
		time.Sleep(time.Minute)
		if got := w.sink("app"); got.Delivered != 3 || len(s.seen()) != 3 {
			t.Errorf("%d deliveries, and the sink is %+v", len(s.seen()), got)
		}
		stop()
	})
}

func TestShutdownWithAFullDiskDeliversAgainWithTheSameID(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := accepts()
		stop := w.run(map[string]Destination{"app": {Sink: first}}, Options{Grace: time.Second})
		w.full.Store(true)
		w.take("one")
		time.Sleep(time.Minute)
		stop()
		w.full.Store(false)
		w.close()
		w.open()
		second := accepts()
		stop = w.run(map[string]Destination{"app": {Sink: second}}, Options{})
		synctest.Wait()
		if a, b := first.seen(), second.seen(); len(a) != 1 || len(b) != 1 || a[0].ID != b[0].ID {
			t.Errorf("%+v, then %+v", a, b)
		}
		stop()
	})
}

func TestShutdownWaitsForDeliveriesUnderWay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := script(func(ctx context.Context, _ *Delivery, _ int) error {
			time.Sleep(5 * time.Second)
			return ctx.Err()
		})
		stop := w.run(map[string]Destination{"app": {Sink: s, Concurrency: 1}}, Options{})
		w.takeAll(2)
		time.Sleep(time.Second)
		stop()
		if got := w.sink("app"); got.Delivered != 1 || got.Pending != 1 {
			t.Errorf("the sink is %+v", got)
		}
	})
}

func TestIDsAreTheSameInAnotherStore(t *testing.T) {
	var ids [2][]string
	for i := range ids {
		inWorld(t, func(t *testing.T, w *world) {
			a, b := accepts(), accepts()
			b.splits = true
			stop := w.run(map[string]Destination{"a": {Sink: a}, "b": {Sink: b}}, Options{})
			w.take("same")
			w.take("same") // a copy
			w.takeRaw(orderMail)
			synctest.Wait()
			for _, tr := range append(a.seen(), b.seen()...) {
				ids[i] = append(ids[i], tr.ID+" "+tr.Part)
			}
			stop()
		})
		slices.Sort(ids[i])
	}
	if len(ids[0]) != 6 || len(slices.Compact(slices.Clone(ids[0]))) != 6 || !slices.Equal(ids[0], ids[1]) {
		t.Errorf("%v\n%v", ids[0], ids[1])
	}
}

func TestASinkDownForSixDaysLosesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := script(func(context.Context, *Delivery, int) error {
			if time.Since(w.start) < 6*day {
				return errDown
			}
			return nil
		})
		stop := w.run(map[string]Destination{"app": {Sink: s}}, Options{Random: rand.Float64})
		w.takeAll(10)
		time.Sleep(7 * day)
		if got := w.sink("app"); got.Delivered != 10 {
			t.Errorf("the sink is %+v", got)
		}
		stop()
	})
}

func TestScheduleWithoutRetriesTriesOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := refuses(errDown)
		stop := w.run(map[string]Destination{"app": {Sink: s, Retry: backoff.Schedule{Steps: []time.Duration{0}}}}, Options{})
		w.take("one")
		time.Sleep(day)
		if n := len(s.seen()); n != 1 || w.sink("app").Dead != 1 {
			t.Errorf("%d tries, and the sink is %+v", n, w.sink("app"))
		}
		stop()
	})
}
