package spool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Note is a thing a sink keeps in mind of a delivery for a time.
type Note struct {
	Key  string        // what it is about: 1 to 128 octets. It outlives the mail, so it holds nothing of it in clear
	For  time.Duration // how long it is kept, from its first Remember
	Most int           // how many deliveries to the sink may have a note of this key at once, at least 1
}

// Refusal says that a note has no place.
type Refusal struct {
	Note int           // the first of the notes that has none
	Wait time.Duration // until one of those that have its place expires; above 0
}

const longestNote = 128

// Remember implements API.
func (s *Spool) Remember(ctx context.Context, sink, delivery string, notes ...Note) (*Refusal, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	for _, n := range notes {
		if n.Key == "" || len(n.Key) > longestNote || n.For <= 0 || n.Most < 1 {
			return nil, errors.New("a note needs a key of 1 to 128 octets, a time, and a place for one at least")
		}
	}
	op := &RememberOp{Sink: sink, Delivery: delivery, Notes: notes, At: s.now()}
	if err := s.commit(ctx, op, 0, nil); err != nil {
		return nil, fmt.Errorf("remember delivery %s: %w", delivery, err)
	}
	return op.Refused, nil
}
