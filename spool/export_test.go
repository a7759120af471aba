package spool

// InWindow tells how much mail is in memory: what counts against the window, and
// how many mails are loaded.
func (s *Spool) InWindow() (octets int64, loaded int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.window.entries {
		if e.item != nil {
			loaded++
		}
	}
	return s.window.used, loaded
}

// Remembered is how many mails, sinks' deliveries and claims memory refers to.
func (s *Spool) Remembered() (entries, queued, claims int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		queued += len(q.ready)
	}
	return len(s.window.entries), queued, len(s.claims)
}

// HeaderNames is what ForgetAddress looks with.
var HeaderNames = headerNames
