package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/spool"
)

// turns is a sink that watches the order of what it is given: in each line the
// mails have the subjects LINE 0, LINE 1 …
type turns struct {
	t     testing.TB
	whole bool // the mailbox is the line: subjects count through all of them

	mu     sync.Mutex
	random *rand.Rand
	ended  map[string]int // how many of a line have ended
	busy   map[string]bool
	cut    int // deliveries that shutdown ended
	begun  int
}

func newTurns(t testing.TB, seed uint64, whole bool) *turns {
	return &turns{t: t, whole: whole, random: rand.New(rand.NewPCG(seed, 7)), ended: map[string]int{}, busy: map[string]bool{}}
}

func (s *turns) Close() error { return nil }

// Deliver takes up to two seconds; three of ten fail for now and one for good.
func (s *turns) Deliver(ctx context.Context, d *Delivery) (Receipt, error) {
	var line string
	var n, global int
	if _, err := fmt.Sscanf(*d.Message.Subject, "%s %d %d", &line, &n, &global); err != nil {
		s.t.Errorf("subject %q: %v", *d.Message.Subject, err)
	}
	if s.whole {
		line, n = "", global
	}
	s.mu.Lock()
	s.begun++
	if s.ended[line] != n || s.busy[line] {
		s.t.Errorf("mail %d of line %q begins; %d of it have ended, one is under way: %v", n, line, s.ended[line], s.busy[line])
	}
	s.busy[line] = true
	took, fate := time.Duration(s.random.IntN(2000))*time.Millisecond, s.random.IntN(10)
	s.mu.Unlock()
	select {
	case <-time.After(took):
	case <-ctx.Done():
		fate = -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[line] = false
	switch {
	case fate < 0:
		s.cut++
		return Receipt{}, ctx.Err()
	case fate < 3:
		return Receipt{}, errDown
	case fate == 3:
		s.ended[line]++
		return Receipt{}, Permanent(errors.New("not this one"))
	}
	s.ended[line]++
	return Receipt{Detail: "ok"}, nil
}

// takeThreads takes n mails of each thread in turn, for ByThread and ByMailbox.
func (w *world) takeThreads(n int, threads ...string) {
	w.t.Helper()
	for i := range n {
		for j, thread := range threads {
			w.takeOf(thread, fmt.Sprintf("%s %d %d", thread, i, i*len(threads)+j))
		}
	}
}

// takeOf takes a mail of the thread.
func (w *world) takeOf(thread, subject string) spool.ID {
	w.t.Helper()
	return w.takeRaw("From: a@example.com\r\nReferences: <" + thread + "@example.com>\r\nSubject: " + subject + "\r\n\r\nbody\r\n")
}

// unevenly parses mails in times that differ.
func unevenly(seed uint64) func(io.ReaderAt, int64, parser.Limits) (*parser.Message, error) {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 8))
	return func(r io.ReaderAt, size int64, l parser.Limits) (*parser.Message, error) {
		mu.Lock()
		took := time.Duration(random.IntN(50)) * time.Millisecond
		mu.Unlock()
		time.Sleep(took)
		return parser.Parse(r, size, l)
	}
}

// shared is a source of chance for several goroutines.
func shared(seed uint64) func() float64 {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 9))
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return random.Float64()
	}
}

func TestOrderIsKeptWhateverFailsAndTakesLong(t *testing.T) {
	for _, order := range []Order{ByThread, ByMailbox} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprint(order, seed), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					s, free := newTurns(t, seed, order == ByMailbox), accepts()
					d := w.dispatcher(map[string]Destination{"app": {Sink: s, Concurrency: 8, Order: order}, "free": {Sink: free}}, Options{Random: shared(seed), Routers: 8})
					d.parse = unevenly(seed)
					stop := w.runDispatcher(d)
					w.takeThreads(8, "a", "b", "c", "d", "e")
					time.Sleep(time.Minute)
					if n := len(free.subjects()); n != 40 {
						t.Errorf("the sink without an order got %d of 40 in a minute", n)
					}
					time.Sleep(30 * day)
					if got := w.sink("app"); got.Delivered+got.Dead != 40 || got.Behind != 0 {
						t.Errorf("in the end there are %+v", got)
					}
					stop()
				})
			})
		}
	}
}

// Processes follow each other on the store; each dies with deliveries and routings
// under way.
func TestOrderIsKeptFromProcessToProcess(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := newTurns(t, 3, false)
		w.takeThreads(10, "a", "b", "c")
		for life := range 60 {
			d := w.dispatcher(map[string]Destination{"app": {Sink: s, Order: ByThread}}, Options{Grace: time.Millisecond})
			d.parse = unevenly(uint64(life))
			stop := w.runDispatcher(d)
			time.Sleep(time.Duration(100+life*50) * time.Millisecond)
			if life == 59 {
				time.Sleep(30 * day)
			}
			stop()
			w.close()
			w.open()
		}
		if got := w.sink("app"); got.Delivered+got.Dead != 30 {
			t.Errorf("in the end there are %+v", got)
		}
		if s.cut == 0 {
			t.Error("no process died with a delivery under way")
		}
	})
}

func TestADeferredMailDelaysItsThreadAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := true
		s := script(func(_ context.Context, d *Delivery, _ int) error {
			if *d.Message.Subject == "a0" && first {
				first = false
				return RetryAfter(time.Hour, errDown)
			}
			return nil
		})
		stop := w.run(map[string]Destination{"app": {Sink: s, Order: ByThread}}, Options{})
		for n := range 3 {
			w.takeOf("a", fmt.Sprint("a", n))
			w.takeOf("b", fmt.Sprint("b", n))
		}
		time.Sleep(time.Hour - time.Second)
		if got := s.subjects(); got["b2"] != 1 || got["a0"] != 1 || got["a1"] != 0 {
			t.Errorf("before the hour is over it got %v", got)
		}
		if st := w.sink("app"); st.Behind != 2 || st.Deferred != 1 || st.Delivered != 3 {
			t.Errorf("and has %+v", st)
		}
		time.Sleep(2 * time.Second)
		if got := s.subjects(); got["a2"] != 1 || got["a1"] != 1 {
			t.Errorf("then it got %v", got)
		}
		stop()
	})
}

func TestADeadLetterLetsThoseBehindItGo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := script(func(_ context.Context, d *Delivery, n int) error {
			if n == 1 {
				return Permanent(errDown)
			}
			return nil
		})
		stop := w.run(map[string]Destination{"app": {Sink: s, Order: ByMailbox}}, Options{})
		w.takeAll(3)
		synctest.Wait()
		if st := w.sink("app"); st.Dead != 1 || st.Delivered != 2 || time.Since(w.start) != 0 {
			t.Errorf("after %s it has %+v", time.Since(w.start), st)
		}
		stop()
	})
}

// What gets no place in a line holds nothing up: mail that cannot be read, and mail
// that no route takes.
func TestQuarantinedAndUnroutedMailHoldsUpNoLine(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := accepts()
		d := w.dispatcher(map[string]Destination{"app": {Sink: s, Order: ByMailbox}}, Options{}, Route{To: "app", When: func(m *parser.Message, _ Origin) (bool, error) { return *m.Subject != "m1", nil }})
		d.parse = func(r io.ReaderAt, size int64, l parser.Limits) (*parser.Message, error) {
			m, err := parser.Parse(r, size, l)
			if *m.Subject == "m0" {
				return nil, errors.New("not to be read")
			}
			return m, err
		}
		stop := w.runDispatcher(d)
		w.takeAll(40)
		time.Sleep(time.Minute)
		if m := w.mailbox(); m.Quarantined != 1 || m.Unrouted != 1 || m.ToRoute != 0 {
			t.Errorf("%+v", m)
		}
		for n, tried := range s.seen() {
			if tried.Subject != fmt.Sprint("m", n+2) {
				t.Fatalf("the %d. is %s", n+1, tried.Subject)
			}
		}
		if n := w.sink("app").Delivered; n != 38 {
			t.Errorf("%d delivered", n)
		}
		stop()
	})
}

// A dispatcher takes over from another, as after a reload, while mails are parsed
// and others wait for that.
func TestMailUnderWayToItsRoutingGoesOverToTheNextDispatcher(t *testing.T) {
	for _, order := range []Order{"", ByMailbox} {
		inWorld(t, func(t *testing.T, w *world) {
			s := accepts()
			to := map[string]Destination{"app": {Sink: s, Concurrency: 1, Order: order}}
			old := w.dispatcher(to, Options{})
			old.parse = func(r io.ReaderAt, size int64, l parser.Limits) (*parser.Message, error) {
				time.Sleep(time.Second)
				return parser.Parse(r, size, l)
			}
			stop := w.runDispatcher(old)
			w.takeAll(40)
			time.Sleep(1500 * time.Millisecond)
			ended := make(chan struct{})
			go func() { defer close(ended); stop() }()
			stopNew := w.run(to, Options{})
			time.Sleep(time.Minute)
			<-ended
			if m := w.mailbox(); m.ToRoute != 0 {
				t.Errorf("%d mails wait for routing still", m.ToRoute)
			}
			for n, tried := range s.seen() {
				if order != "" && tried.Subject != fmt.Sprint("m", n) {
					t.Fatalf("the %d. is %s", n, tried.Subject)
				}
			}
			if n := w.sink("app").Delivered; n != 40 {
				t.Errorf("%d delivered", n)
			}
			stopNew()
		})
	}
}
