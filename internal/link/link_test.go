package link

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/internal/clock"
)

// server counts what a Link makes and takes apart.
type server struct {
	mu          sync.Mutex
	made, ended int
	refuses     error
}

func (s *server) open(context.Context) (*int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses != nil {
		return nil, s.refuses
	}
	s.made++
	n := s.made
	return &n, nil
}

func (s *server) end(*int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended++
}

func (s *server) link() *Link[*int] {
	l := New(s.open, s.end, nil, clock.System{})
	l.random = func() float64 { return 0 } // the whole step
	return l
}

func use(t *testing.T, l *Link[*int]) *int {
	t.Helper()
	c, err := l.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAllUseOneConnection(t *testing.T) {
	s := &server{}
	l := s.link()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := l.Use(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s.made != 1 {
		t.Errorf("%d connections were made", s.made)
	}
}

func TestABrokenConnectionIsMadeAnewAndTakenApartOnce(t *testing.T) {
	s := &server{}
	l := s.link()
	first := use(t, l)
	l.Worked()
	l.Broken(first)
	l.Broken(first)
	second := use(t, l)
	l.Broken(first)
	if second == first || s.made != 2 || s.ended != 1 {
		t.Errorf("made %d, ended %d", s.made, s.ended)
	}
}

func TestAConnectionThatWasLostMeanwhileIsMadeAnewAtOnce(t *testing.T) {
	s := &server{}
	lost := map[*int]bool{}
	l := New(s.open, s.end, func(c *int) bool { return lost[c] }, clock.System{})
	first := use(t, l)
	l.Worked()
	if again := use(t, l); again != first || s.made != 1 {
		t.Errorf("made %d", s.made)
	}
	lost[first] = true
	second := use(t, l)
	if second == first || use(t, l) != second || s.made != 2 || s.ended != 1 {
		t.Errorf("made %d, ended %d", s.made, s.ended)
	}
}

func TestConnectionsThatBreakInVainAreMadeEverMoreSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		l := s.link()
		for _, want := range []time.Duration{0, 2 * time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, 30 * time.Second} {
			before := time.Now()
			c := use(t, l)
			if waited := time.Since(before); waited != want {
				t.Errorf("connection %d came after %s, want %s", s.made, waited, want)
			}
			l.Broken(c)
		}
		c := use(t, l)
		l.Worked()
		l.Broken(c)
		before := time.Now()
		use(t, l)
		if waited := time.Since(before); waited != 0 {
			t.Errorf("after one that worked the next came after %s", waited)
		}
	})
}

func TestOneThatCannotBeMadeIsAnErrorAndNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{refuses: errors.New("connection refused")}
		l := s.link()
		before := time.Now()
		for range 5 {
			if _, err := l.Use(t.Context()); !errors.Is(err, s.refuses) {
				t.Errorf("the error is %v", err)
			}
		}
		s.refuses = nil
		use(t, l)
		if waited := time.Since(before); waited != 0 {
			t.Errorf("it took %s", waited)
		}
	})
}

func TestWhoNoLongerWaitsIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		l := s.link()
		l.Broken(use(t, l))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := l.Use(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestNothingIsMadeAfterClose(t *testing.T) {
	s := &server{}
	l := s.link()
	use(t, l)
	l.Close()
	l.Close()
	if _, err := l.Use(t.Context()); !errors.Is(err, ErrClosed) || s.ended != 1 {
		t.Errorf("the error is %v, %d taken apart", err, s.ended)
	}
}

func TestAConnectionMadeWhileClosingIsTakenApart(t *testing.T) {
	s := &server{}
	var l *Link[*int]
	l = New(func(ctx context.Context) (*int, error) {
		l.Close()
		return s.open(ctx)
	}, s.end, nil, clock.System{})
	if _, err := l.Use(t.Context()); !errors.Is(err, ErrClosed) || s.ended != 1 {
		t.Errorf("the error is %v, %d taken apart", err, s.ended)
	}
}
