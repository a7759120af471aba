package spool

import "fmt"

// FullError says what fills the store: the mail one sink has not accepted, or,
// with Sink empty, the mailbox's mail that no sink has, or all there is.
type FullError struct {
	Mailbox string
	Sink    string
	Octets  int64 // it takes
	Free    int64 // of the quota
	Quota   int64
}

// Error implements error.
func (e *FullError) Error() string {
	what := fmt.Sprintf("mail that sink %s has not accepted takes", e.Sink)
	if e.Sink == "" {
		what = fmt.Sprintf("mail that waits, of mailbox %s among others, takes", e.Mailbox)
	}
	return fmt.Sprintf("%v: %s %d octets, and %d of the quota of %d are free: mend the sink, retry, drop or forget mail, or raise `quota`",
		ErrFull, what, e.Octets, e.Free, e.Quota)
}

// Is makes every FullError ErrFull.
func (e *FullError) Is(target error) bool { return target == ErrFull }

// usage is what the store keeps, in octets. All methods need Spool.mu.
type usage struct {
	kept      int64
	retained  int64
	sinks     map[string]int64
	mailboxes map[string]*mailboxUsage
}

type mailboxUsage struct {
	kept  int64
	loose int64
	sinks map[string]int64
}

func (u *usage) add(charges []Charge) {
	for _, c := range charges {
		if u.mailboxes == nil {
			u.sinks, u.mailboxes = map[string]int64{}, map[string]*mailboxUsage{}
		}
		m := u.mailboxes[c.Mailbox]
		if m == nil {
			m = &mailboxUsage{sinks: map[string]int64{}}
			u.mailboxes[c.Mailbox] = m
		}
		u.kept += c.Kept
		u.retained += c.Retained
		m.kept += c.Kept
		m.loose += c.Loose
		if c.Waiting != 0 {
			u.sinks[c.Sink] += c.Waiting
			m.sinks[c.Sink] += c.Waiting
		}
	}
}

// refuses is the error for a mail of that size from the mailbox; nil if it may
// come in. Mail kept for replay counts as free, since it gives way.
func (u *usage) refuses(quota int64, mailbox string, size int64) error {
	if quota <= 0 {
		return nil
	}
	free := max(quota-u.kept, 0)
	e := &FullError{Mailbox: mailbox, Free: free, Quota: quota}
	if m := u.mailboxes[mailbox]; m != nil {
		for sink := range m.sinks {
			if m.sinks[sink] > 0 && u.sinks[sink] > free && u.sinks[sink] > e.Octets {
				e.Sink, e.Octets = sink, u.sinks[sink]
			}
		}
		if m.loose > free && m.loose > e.Octets {
			e.Sink, e.Octets = "", m.loose
		}
	}
	switch {
	case e.Octets > 0:
		return e
	case free == 0 || size > free:
		e.Octets = u.kept
		return e
	}
	return nil
}

// charge keeps usage up. Needs mu.
func (s *Spool) charge(charges []Charge) {
	before := s.usage.kept + s.usage.retained
	s.usage.add(charges)
	if s.usage.kept+s.usage.retained > before && s.usage.over(s.quota) {
		s.pressed.wake()
	}
}

// over tells whether delivered mail has to give way.
func (u *usage) over(quota int64) bool {
	return quota > 0 && u.retained > 0 && u.kept+u.retained > quota
}

func (s *Spool) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usage.over(s.quota)
}

// Admit implements API.
func (s *Spool) Admit(mailbox string) error { return s.admit(mailbox, 0) }

func (s *Spool) admit(mailbox string, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usage.refuses(s.quota, mailbox, size)
}

// sayFull adds to the store's status what the quota makes of it.
func (s *Spool) sayFull(st *Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Quota, st.Octets, st.Retained = s.quota, s.usage.kept, s.usage.retained
	for i := range st.Mailboxes {
		m := &st.Mailboxes[i]
		if u := s.usage.mailboxes[m.Mailbox]; u != nil {
			m.Octets = u.kept
		}
		if err := s.usage.refuses(s.quota, m.Mailbox, 0); err != nil {
			m.Full = err.Error()
		}
	}
	for i := range st.Sinks {
		st.Sinks[i].Octets = s.usage.sinks[st.Sinks[i].Sink]
	}
}
