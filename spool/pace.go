package spool

import (
	"context"
	"time"
)

// longestPace bounds how much one mail is held up for the sake of the giving
// half.
const longestPace = 10 * time.Millisecond

// pace lets the giving half keep up: while the window is nearly full and workers
// take mail out of it, the next mail comes in as one goes out, so that mail need
// not be read back, and parsed again. It never waits for long, and not at all
// where nothing is being delivered: to be durable comes before everything.
func (s *Spool) pace(ctx context.Context) {
	s.mu.Lock()
	if s.window.used < s.window.limit/4*3 || len(s.claims) == 0 {
		s.mu.Unlock()
		return
	}
	leaves := s.paced.add()
	s.mu.Unlock()
	longest := time.NewTimer(longestPace)
	defer longest.Stop()
	select {
	case <-leaves:
	case <-longest.C:
	case <-s.ended:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paced.remove(leaves)
}
