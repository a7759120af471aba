package fetcher

import "time"

// Event is a change in how a mailbox fares.
type Event struct {
	At      time.Time
	Mailbox string
	What    Change
	Err     error     // of all but Recovered
	Next    time.Time // of all but Recovered: when it is tried again
}

// Change is what has changed.
type Change string

// The changes.
const (
	// Failed: the mailbox could not be polled, or fails for another reason than before.
	Failed Change = "failed"
	// Lost: an open session ended that was waiting for mail, or was found dead; it is
	// opened again.
	Lost Change = "lost"
	// Recovered: the mailbox was polled again after it had failed or been lost.
	Recovered Change = "recovered"
	// Declined: the server has declined what is to happen to mails so often that it is
	// tried once a day only.
	Declined Change = "declined"
	// Slowed: the server wants more time between sign-ins than the mailbox's schedule
	// leaves, and gets it.
	Slowed Change = "slowed"
)

// happened tells of an event.
func (f *Fetcher) happened(m *Mailbox, what Change, err error, next time.Time) {
	if f.observe != nil {
		f.observe(Event{At: f.clock.Now(), Mailbox: m.Name, What: what, Err: err, Next: next})
	}
}
