package expr

import "fmt"

// Meter counts the work of one evaluation. A turn of a loop is one step; a text
// is one more for each KiB; making a text, or matching a regular expression, one
// more for each 80 octets. So an evaluation that has used up MaxSteps took some
// tens of milliseconds, and what it made is less than 16 MB: the bound is on the
// work and not on the time, so that it does not depend on the machine.
type Meter struct{ left int }

const (
	readPerStep = 1 << 10 // octets
	madePerStep = 80
)

func (m *Meter) spend(steps int) error {
	if m.left -= steps; m.left < 0 {
		return fmt.Errorf("it takes more than %d steps", MaxSteps)
	}
	return nil
}

// Read counts looking at a text of n octets.
func (m *Meter) Read(n int) error { return m.spend(1 + n/readPerStep) }

// Made counts making a text of n octets, or matching one.
func (m *Meter) Made(n int) error { return m.spend(1 + n/madePerStep) }

// Text is as much of s as conditions look at, and counts reading it.
func (m *Meter) Text(s string) (string, error) {
	if len(s) > MaxText {
		s = s[:MaxText]
	}
	return s, m.Read(len(s))
}
