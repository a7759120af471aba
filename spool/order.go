package spool

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// lineOf numbers the line that mails of the account stand in at the sink; 0 where
// the sink keeps no order. Two lines of one number, once in 2^64, are one line.
func lineOf(account, sink string, order map[string]string) int64 {
	key, ordered := order[sink]
	if !ordered {
		return 0
	}
	h := sha256.New()
	field(h, []byte(account))
	field(h, []byte(key))
	return max(1, int64(binary.BigEndian.Uint64(h.Sum(nil))>>1))
}

// ready queues deliveries that are due now. Needs mu.
func (s *Spool) ready(all []Ready) {
	for _, r := range all {
		e := s.window.get(r.Item)
		e.refs++
		s.queue(r.Sink).add(&delivery{Ready: r, entry: e})
	}
}

// Turn implements API.
func (s *Spool) Turn(ctx context.Context, id ID) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		before := s.before(id)
		if before == nil {
			return nil
		}
		if !before.handed {
			return fmt.Errorf("mail %d before mail %d: %w", before.id, id, ErrBehind)
		}
		w, done := s.movesOf(before.id)
		err := s.wait(ctx, w, zero)
		done()
		if err != nil {
			return err
		}
	}
}

// before finds the last mail of the account, before the one given, that is
// neither routed nor about to be; nil where there is none. Needs mu.
func (s *Spool) before(id ID) *entry {
	mail := s.window.entries[id]
	if mail == nil || mail.item == nil {
		return nil
	}
	var last *entry
	consider := func(e *entry) {
		if e.id < id && e.waiting && !e.recording && e.item.Account == mail.item.Account && (last == nil || last.id < e.id) {
			last = e
		}
	}
	for _, e := range s.routing.handed {
		consider(e)
	}
	for _, e := range s.routing.queue {
		if e.id > id {
			break // they stand in the order taken
		}
		consider(e)
	}
	return last
}

// recordingRoute lets the mails after this one go on: what they record comes
// after its record.
func (s *Spool) recordingRoute(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.window.entries[id]; e != nil {
		e.recording = true
		s.moves(id)
	}
}

// notRouted is after a Route that the store did not record.
func (s *Spool) notRouted(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.window.entries[id]; e != nil {
		e.recording = false
	}
}

// Return implements API.
func (s *Spool) Return(i *Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.window.entries[i.ID]
	if e == nil || !e.handed || s.err != nil {
		return
	}
	if e.waiting { // else it was forgotten meanwhile
		s.routing.insert(e)
	}
	s.unhand(e)
	s.routing.waiters.wake()
	s.changed(i.ID)
}

// unhand ends the hold of Next's caller. Needs mu.
func (s *Spool) unhand(e *entry) {
	e.handed = false
	s.routing.handed = slices.DeleteFunc(s.routing.handed, func(h *entry) bool { return h == e })
	s.window.release(e)
}
