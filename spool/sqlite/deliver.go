package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postferry/postferry/spool"
)

func (b *batch) route(op *spool.RouteOp) error {
	var mailbox string
	var state int
	var size int64
	op.Err = nil
	err := b.query(b.s.w.Routed, int64(op.ID)).Scan(&mailbox, &state, &size)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		op.Err = spool.ErrUnknown
		return nil
	case err != nil:
		return err
	case state != unrouted:
		op.Err = spool.ErrRouted
		return nil
	}
	b.add(mailbox, countToRoute, -1)
	switch state = routed; {
	case op.Quarantine != "":
		state = quarantined
		b.add(mailbox, countQuarantined, 1)
	case len(op.To) == 0:
		state = unmatched
		b.add(mailbox, countUnrouted, 1)
	}
	if err := b.exec(b.s.w.Route, state, op.Quarantine, op.Facts, len(op.To), int64(op.ID)); err != nil {
		return err
	}
	for i, to := range op.To {
		if err := b.exec(b.s.w.Deliver, int64(op.ID), to.Sink, to.Part, op.Deliveries[i], unix(op.At)); err != nil {
			return err
		}
		b.move(to.Sink, -1, pending)
		if !slices.ContainsFunc(op.To[:i], func(o spool.To) bool { return o.Sink == to.Sink }) {
			b.charge(spool.Charge{Mailbox: mailbox, Sink: to.Sink, Waiting: size})
		}
	}
	if state == routed {
		b.charge(spool.Charge{Mailbox: mailbox, Loose: -size})
	}
	return nil
}

var states = map[spool.State]int{spool.Pending: pending, spool.Deferred: deferred, spool.Delivered: delivered, spool.Dead: dead}

func (b *batch) record(op *spool.RecordOp) error {
	op.Err, op.Settle = nil, spool.Due{}
	var was, attempts int
	err := b.query(b.s.w.Delivery, int64(op.ID), op.Sink, op.Part, op.Delivery).Scan(&was, &attempts)
	if errors.Is(err, sql.ErrNoRows) {
		op.Err = spool.ErrUnknown
		return nil
	}
	if err != nil {
		return err
	}
	state, next := states[op.State], int64(0)
	if state == deferred {
		next = unix(op.Next)
	}
	a := op.Attempt
	err = errors.Join(
		b.exec(b.s.w.Tried, int64(op.ID), op.Sink, op.Part, state, next, unix(a.At)),
		b.exec(b.s.w.Attempt, int64(op.ID), op.Sink, op.Part, attempts+1, unix(a.At), int64(a.Duration), state, a.Detail, a.Answer, a.Error),
	)
	if err != nil {
		return err
	}
	b.move(op.Sink, was, state)
	if len(op.Actions) > 0 {
		if err := b.exec(b.s.w.Asked, joinActions(op.Actions), int64(op.ID)); err != nil {
			return err
		}
	}
	if state == deferred {
		return nil
	}
	return b.ended(op, state == dead)
}

// The fates of a mail on its server: which settlements were created.
const (
	fateOpen = iota
	fateDead
	fateDelivered
)

// ended closes a delivery, and with the last one decides what becomes of the
// mail on its server.
func (b *batch) ended(op *spool.RecordOp, died bool) error {
	var (
		open, deadOnes, fate          int
		delay, size                   int64
		early                         bool
		mailbox, after, failed, asked string
	)
	count := 0
	if died {
		count = 1
	}
	err := b.query(b.s.w.Ended, count, unix(op.At), int64(op.ID)).Scan(&open, &deadOnes, &mailbox, &size, &after, &delay, &early, &failed, &asked, &fate)
	if err == nil && !died {
		err = b.accepted(int64(op.ID), mailbox, op.To, size)
	}
	if err != nil || open > 0 {
		return err
	}
	if deadOnes == 0 {
		b.charge(spool.Charge{Mailbox: mailbox, Kept: -size, Retained: size})
		if op.Erase {
			if err := b.erase(int64(op.ID)); err != nil {
				return err
			}
		}
	}
	if deadOnes > 0 && fate >= fateDead || fate == fateDelivered {
		return nil // it was replayed, or died before
	}
	at := op.At
	var actions []spool.Action
	fate = fateDelivered
	switch {
	case deadOnes > 0:
		fate = fateDead
		actions, err = splitActions(failed)
	case asked != "":
		actions, err = splitActions(asked)
	case early: // settled when it was taken
	default:
		actions, err = splitActions(after)
		at = at.Add(time.Duration(delay))
	}
	if err != nil {
		return err
	}
	if err := b.exec(b.s.w.Fate, fate, int64(op.ID)); err != nil {
		return err
	}
	op.Settle, err = b.settle(int64(op.ID), mailbox, actions, at, fate == fateDead)
	return err
}

// accepted takes a mail off what waits for the sink, once no part of it does.
func (b *batch) accepted(item int64, mailbox string, to spool.To, size int64) error {
	if to.Part != "" {
		var waits bool
		if err := b.query(b.s.w.Waits, item, to.Sink).Scan(&waits); err != nil || waits {
			return err
		}
	}
	b.charge(spool.Charge{Mailbox: mailbox, Sink: to.Sink, Waiting: -size})
	return nil
}

func joinActions(actions []spool.Action) string {
	texts := make([]string, len(actions))
	for i, a := range actions {
		texts[i] = a.String()
	}
	return strings.Join(texts, "\n")
}

func splitActions(text string) ([]spool.Action, error) {
	if text == "" {
		return nil, nil
	}
	var actions []spool.Action
	for line := range strings.SplitSeq(text, "\n") {
		a, err := spool.ParseAction(line)
		if err != nil {
			return nil, fmt.Errorf("an action in the store: %w", err)
		}
		actions = append(actions, a)
	}
	return actions, nil
}
