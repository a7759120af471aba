package backoff_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/backoff"
)

// longest draws the whole step, shortest next to nothing.
func longest() float64  { return 0 }
func shortest() float64 { return 0.9999999999 }

func TestDefaultWaitsAreTheDocumentedOnes(t *testing.T) {
	const h, day = time.Hour, 24 * time.Hour
	documented := []time.Duration{0, 5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute,
		2 * h, 5 * h, 10 * h, day, day, day, day, day, day}
	s, age := backoff.Default(), time.Duration(0)
	for tries, want := range documented {
		wait, ok := s.Next(tries, age, longest)
		if !ok || wait != want {
			t.Fatalf("after %d tries at age %s: wait %s, %v; want %s", tries, age, wait, ok, want)
		}
		age += wait
	}
	if wait, ok := s.Next(len(documented), age, longest); ok {
		t.Errorf("a try %s after the first would be past 7 days, yet a wait of %s was given", age+wait, wait)
	}
}

func TestAtLeastFourteenTriesWithinSevenDays(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1)).Float64
		s, age, tries := backoff.Default(), time.Duration(0), 0
		for {
			wait, ok := s.Next(tries, age, rnd)
			if !ok {
				break
			}
			age += wait
			tries++
		}
		if tries < 14 || age > 7*24*time.Hour {
			t.Errorf("seed %d: %d tries, the last at %s; want at least 14 within 7 days", seed, tries, age)
		}
	}
}

func TestWhatFailedTogetherDoesNotComeBackTogether(t *testing.T) {
	const mails = 10_000
	rnd := rand.New(rand.NewPCG(1, 2)).Float64
	at := make([]time.Duration, mails)
	for tries := 1; tries <= 6; tries++ {
		bucket := map[time.Duration]int{}
		for i := range at {
			wait, ok := backoff.Default().Next(tries, at[i], rnd)
			if !ok {
				t.Fatalf("gave up after %d tries at %s", tries, at[i])
			}
			if step := backoff.Default().Step(tries); wait > step || wait < backoff.Floor {
				t.Fatalf("wait %s is not between %s and the step %s", wait, backoff.Floor, step)
			}
			at[i] += wait
			bucket[at[i]/time.Second]++
		}
		if tries < 3 {
			continue
		}
		for second, n := range bucket {
			if n > mails*2/100 {
				t.Errorf("retry %d: %d of %d tries fall into second %d", tries, n, mails, second)
			}
		}
	}
}

func TestNoStepIsJitteredBelowTheFloor(t *testing.T) {
	s := backoff.Schedule{Steps: []time.Duration{0, 300 * time.Millisecond, time.Hour}, Total: 24 * time.Hour}
	for tries, want := range []time.Duration{0, 300 * time.Millisecond, backoff.Floor} {
		if wait := s.Wait(tries, shortest); wait != want {
			t.Errorf("after %d tries: %s, want %s", tries, wait, want)
		}
	}
}

func TestWithoutTotalTheStepsAreTriedOnce(t *testing.T) {
	s := backoff.Schedule{Steps: []time.Duration{0, time.Second}}
	for tries, want := range []bool{true, true, false} {
		if _, ok := s.Next(tries, 0, longest); ok != want {
			t.Errorf("after %d tries: ok = %v, want %v", tries, ok, want)
		}
	}
}

func TestValidateNamesTheFault(t *testing.T) {
	for name, s := range map[string]backoff.Schedule{
		"no steps":            {},
		"negative step":       {Steps: []time.Duration{0, -1}},
		"negative total":      {Steps: []time.Duration{time.Minute}, Total: -1},
		"zero step, repeated": {Steps: []time.Duration{0}, Total: time.Hour},
	} {
		if s.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := backoff.Default().Validate(); err != nil {
		t.Errorf("the default schedule is refused: %v", err)
	}
}
