package spool

import (
	"context"
	"time"
)

// How much one mail is held up for the sake of the giving half: longestPace in
// all, and longestStill while no mail leaves the window.
const (
	longestPace  = 100 * time.Millisecond
	longestStill = 10 * time.Millisecond
)

// pace lets the giving half keep up: while the window is nearly full and workers
// take mail out of it, the next mail comes in as one goes out, so that mail need
// not be read back, and parsed again. It never waits for long, and not at all
// where nothing is being delivered: to be durable comes before everything.
func (s *Spool) pace(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.window.used < s.window.limit/4*3 || len(s.claims) == 0 && time.Since(s.departed) > longestStill {
		return
	}
	turn := s.paced.add()
	defer s.paced.remove(turn)
	still := time.NewTimer(longestStill)
	defer still.Stop()
	for start := time.Now(); ; still.Reset(longestStill) {
		s.mu.Unlock()
		waits := false
		select {
		case <-turn:
		case <-still.C:
			waits = time.Since(start) < longestPace
		case <-s.ended:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if !waits || time.Since(s.departed) > longestStill {
			return
		}
	}
}

// depart tells of a mail that a worker took out of the window. Needs mu.
func (s *Spool) depart() {
	s.departed = time.Now()
	if s.window.used < s.window.limit/8*7 {
		s.paced.wake()
	}
}
