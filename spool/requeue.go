package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// targetsPage is how many targets one transaction takes.
const targetsPage = 100

// Retry makes the targets' dead deliveries due now, with the ids they have, and
// returns how many. Their schedule begins anew; the attempts made stay recorded.
// A target that has no dead delivery is an ErrUnknown in the error, one whose
// octets are gone an ErrErased, and the others are retried all the same.
func (s *Spool) Retry(ctx context.Context, targets ...Target) (int, error) {
	return s.requeue(ctx, "try dead deliveries again of", false, targets)
}

// Replay delivers again what was delivered, with the ids it had, and returns how
// many deliveries are due again. What an answer asked for, a reply say, is among them
// only where its delivery is named. A mail that is unrouted or quarantined is
// routed again, by the routes of now, and counts as one. What was done to the
// mail on its server is not done twice. Errors are as for Retry.
func (s *Spool) Replay(ctx context.Context, targets ...Target) (int, error) {
	return s.requeue(ctx, "deliver again", true, targets)
}

func (s *Spool) requeue(ctx context.Context, doing string, delivered bool, targets []Target) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	if err := s.catchUp(ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	n := 0
	var errs []error
	for page := range slices.Chunk(targets, targetsPage) {
		op := &RequeueOp{Targets: page, Delivered: delivered, At: s.now()}
		if err := s.commit(ctx, op, 0, func() { s.requeued(op) }); err != nil {
			return n, fmt.Errorf("%s: %w", doing, err)
		}
		n += len(op.Ready) + len(op.Rerouted)
		errs = append(errs, targetErrors(doing, page, op.Errs)...)
	}
	return n, errors.Join(errs...)
}

func targetErrors(doing string, targets []Target, errs []error) []error {
	var named []error
	for i, err := range errs {
		if err != nil {
			named = append(named, fmt.Errorf("%s %s: %w", doing, targets[i], err))
		}
	}
	return named
}

// requeued brings memory up to date. Needs mu.
func (s *Spool) requeued(op *RequeueOp) {
	s.ready(op.Ready)
	for _, id := range op.Rerouted {
		r := &s.routing
		r.last = min(r.last, id-1)
		r.again = max(r.again, id)
		r.more = true
		r.stored++
		r.waiters.wake()
	}
}

// Drop gives the targets' dead deliveries up for good and returns how many.
// They and their attempts are removed; what happens to the mail on its server
// does not change by it. A target without one is an ErrUnknown in the error.
func (s *Spool) Drop(ctx context.Context, targets ...Target) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	if err := s.catchUp(ctx); err != nil {
		return 0, fmt.Errorf("drop: %w", err)
	}
	n := 0
	var errs []error
	for page := range slices.Chunk(targets, targetsPage) {
		op := &DropOp{Targets: page, At: s.now()}
		if err := s.commit(ctx, op, 0, nil); err != nil {
			return n, fmt.Errorf("drop: %w", err)
		}
		n += op.Dropped
		errs = append(errs, targetErrors("drop dead deliveries of", page, op.Errs)...)
	}
	return n, errors.Join(errs...)
}
