// Package backoff says how long to wait before the next try.
//
// A Schedule is a list of steps: the first try comes Steps[0] after the start,
// the second Steps[1] after the first, and so on; the last step repeats until
// the whole has lasted Total. Each wait is drawn evenly from the length of its
// step ("full jitter"), so that what failed together does not come back
// together:
//
//	wait, ok := backoff.Default().Next(tries, age, rand.Float64)
//	if !ok {
//		// give up
//	}
package backoff

import (
	"fmt"
	"time"
)

// Floor is the shortest wait a step longer than itself may be jittered down
// to: a peer that has just failed is left alone for a moment.
const Floor = time.Second

// Schedule is a list of waits and the age at which to give up. The zero
// Schedule allows one try.
type Schedule struct {
	Steps []time.Duration // Steps[n] is the longest wait after n tries; the last one repeats
	Total time.Duration   // no try begins later than this after the first; 0 = the last step is not repeated
}

// Default is the schedule of deliveries: 0, 5 s, 30 s, 5 m, 30 m, 2 h, 5 h,
// 10 h, then daily up to 7 days: at least 14 tries.
func Default() Schedule {
	return Schedule{
		Steps: []time.Duration{
			0, 5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute,
			2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 24 * time.Hour,
		},
		Total: 7 * 24 * time.Hour,
	}
}

// Step is the longest wait after the given number of tries, before jitter; 0
// for a schedule without steps.
func (s Schedule) Step(tries int) time.Duration {
	if len(s.Steps) == 0 {
		return 0
	}
	return s.Steps[min(max(tries, 0), len(s.Steps)-1)]
}

// Wait is the jittered wait after the given number of tries, without regard to
// Total. rnd gives numbers in [0, 1), as rand.Float64 does.
func (s Schedule) Wait(tries int, rnd func() float64) time.Duration {
	step := s.Step(tries)
	if step <= Floor {
		return step
	}
	// 1-rnd is in (0, 1]: the whole step may be waited.
	return max(Floor, time.Duration(float64(step)*(1-rnd())))
}

// Next is the wait before the next try, after so many tries of which the first
// began age ago. ok is false when the schedule is at its end: when the next try
// would begin after Total, or, without a Total, when the steps are used up.
func (s Schedule) Next(tries int, age time.Duration, rnd func() float64) (wait time.Duration, ok bool) {
	if s.Total <= 0 && tries >= len(s.Steps) {
		return 0, false
	}
	wait = s.Wait(tries, rnd)
	if s.Total > 0 && age+wait > s.Total {
		return 0, false
	}
	return wait, true
}

// Validate refuses what cannot be meant: negative waits, no steps, or a last
// step of zero that Total would repeat without a pause.
func (s Schedule) Validate() error {
	if len(s.Steps) == 0 {
		return fmt.Errorf("a retry schedule needs at least one step")
	}
	for i, d := range s.Steps {
		if d < 0 {
			return fmt.Errorf("step %d of the retry schedule is negative (%s)", i+1, d)
		}
	}
	if s.Total < 0 {
		return fmt.Errorf("the end of the retry schedule is negative (%s)", s.Total)
	}
	if s.Total > 0 && s.Steps[len(s.Steps)-1] < Floor {
		return fmt.Errorf("the last step of the retry schedule is repeated: make it at least %s", Floor)
	}
	return nil
}
