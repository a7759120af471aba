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
	op.Err, op.Behind = nil, nil
	if early, err := b.early(op); early || err != nil {
		op.Err = spool.ErrBehind
		return err
	}
	state := routed
	switch {
	case op.Quarantine != "":
		state = quarantined
	case len(op.To) == 0:
		state = unmatched
	}
	var mailbox string
	var size int64
	err := b.query(b.s.w.Route, int64(op.ID), state, op.Quarantine, op.Facts, len(op.To)).Scan(&mailbox, &size)
	if errors.Is(err, sql.ErrNoRows) {
		op.Err, err = b.unroutable(op.ID)
		return err
	}
	if err != nil {
		return err
	}
	b.add(mailbox, countToRoute, -1)
	switch state {
	case quarantined:
		b.add(mailbox, countQuarantined, 1)
	case unmatched:
		b.add(mailbox, countUnrouted, 1)
	default:
		b.charge(spool.Charge{Mailbox: mailbox, Loose: -size})
	}
	for i, to := range op.To {
		due, line, err := b.place(op, i)
		if err != nil {
			return err
		}
		if err := b.exec(b.s.w.Deliver, int64(op.ID), to.Sink, to.Part, op.Deliveries[i], due, line); err != nil {
			return err
		}
		b.move(to.Sink, -1, pending)
		if !slices.ContainsFunc(op.To[:i], func(o spool.To) bool { return o.Sink == to.Sink }) {
			b.charge(spool.Charge{Mailbox: mailbox, Sink: to.Sink, Waiting: size})
		}
	}
	return nil
}

// unroutable tells why a mail does not wait for routing.
func (b *batch) unroutable(id spool.ID) (why, err error) {
	var there bool
	if err := b.query(b.s.w.IsThere, int64(id)).Scan(&there); err != nil {
		return nil, err
	}
	if there {
		return spool.ErrRouted, nil
	}
	return spool.ErrUnknown, nil
}

var states = map[spool.State]int{spool.Pending: pending, spool.Deferred: deferred, spool.Delivered: delivered, spool.Dead: dead}

// owed is a delivery that is open, and what decides the fate of its mail.
type owed struct {
	state, attempts               int
	due, first, line              int64
	open, dead, fate              int
	size, extra, delay            int64 // size has extra in it
	early                         bool
	mailbox, after, failed, asked string
}

func (b *batch) record(op *spool.RecordOp) error {
	op.Err, op.Settle, op.Freed, op.Made = nil, spool.Due{}, nil, nil
	if op.Route != nil {
		if done, err := b.routeFirst(op); done || err != nil {
			return err
		}
	}
	var w owed
	err := b.query(b.s.w.Owed, int64(op.ID), op.Sink, op.Part, op.Delivery).Scan(&w.state, &w.attempts, &w.due, &w.first, &w.line,
		&w.open, &w.dead, &w.mailbox, &w.size, &w.extra, &w.after, &w.delay, &w.early, &w.failed, &w.asked, &w.fate)
	if errors.Is(err, sql.ErrNoRows) {
		op.Err = spool.ErrUnknown
		return nil
	}
	if err != nil {
		return err
	}
	if err := b.ask(op, &w); err != nil {
		return err
	}
	state, a := states[op.State], op.Attempt
	if state == deferred {
		w.due = unix(op.Next)
	}
	if w.first == 0 {
		w.first = unix(a.At)
	}
	w.attempts++
	progress := op.Progress
	if state == delivered {
		progress = ""
	}
	err = errors.Join(
		b.exec(b.s.w.Tried, int64(op.ID), op.Sink, op.Part, state, w.due, w.attempts, w.first, progress),
		b.exec(b.s.w.Attempt, int64(op.ID), op.Sink, op.Part, w.attempts, unix(a.At), int64(a.Duration), state, a.Detail, a.Answer, a.Error),
	)
	if err != nil {
		return err
	}
	b.move(op.Sink, w.state, state)
	if len(op.Actions) > 0 {
		w.asked = joinActions(op.Actions)
	}
	if state != deferred {
		if err := b.advance(op.Sink, w.line, op.At, &op.Freed); err != nil {
			return err
		}
		return b.ended(op, w, state == dead)
	}
	if len(op.Actions) > 0 {
		return b.exec(b.s.w.Asked, w.asked, int64(op.ID))
	}
	return nil
}

// routeFirst records the routing that comes with an outcome. done says that the
// outcome is dealt with too.
func (b *batch) routeFirst(op *spool.RecordOp) (done bool, err error) {
	if len(op.Route.To) == 1 && op.State == spool.Delivered && len(op.Actions)+len(op.Errands) == 0 {
		if done, err = b.straight(op); done || err != nil {
			return done, err
		}
	}
	if err := b.route(op.Route); err != nil {
		return false, err
	}
	if errors.Is(op.Route.Err, spool.ErrUnknown) {
		op.Err = spool.ErrUnknown
		return true, nil
	}
	return false, nil
}

// straight writes what becomes of most mail, one delivery accepted at the first
// attempt, with each row as it is in the end; false where it is routed already.
func (b *batch) straight(op *spool.RecordOp) (done bool, err error) {
	var w owed
	err = b.query(b.s.w.Straight, int64(op.ID), op.Route.Facts, unix(op.At)).Scan(&w.mailbox, &w.size, &w.after, &w.delay, &w.early)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	a := op.Attempt
	err = errors.Join(
		b.exec(b.s.w.Delivered, int64(op.ID), op.Sink, op.Part, op.Delivery, unix(op.Route.At), unix(a.At)),
		b.exec(b.s.w.Attempt, int64(op.ID), op.Sink, op.Part, 1, unix(a.At), int64(a.Duration), delivered, a.Detail, a.Answer, a.Error),
	)
	if err != nil {
		return false, err
	}
	b.add(w.mailbox, countToRoute, -1)
	b.move(op.Sink, -1, delivered)
	b.charge(spool.Charge{Mailbox: w.mailbox, Kept: -w.size, Loose: -w.size, Retained: w.size})
	if op.Erase {
		if err := b.erase(int64(op.ID)); err != nil {
			return false, err
		}
	}
	return true, b.settleDelivered(op, w)
}

// settleDelivered creates the settlements of a mail that every sink has accepted.
func (b *batch) settleDelivered(op *spool.RecordOp, w owed) error {
	if w.early { // settled when it was taken
		return nil
	}
	actions, err := splitActions(w.after)
	if err == nil {
		op.Settle, err = b.settle(int64(op.ID), w.mailbox, actions, op.At.Add(time.Duration(w.delay)), false)
	}
	return err
}

// The fates of a mail on its server: which settlements were created.
const (
	fateOpen = iota
	fateDead
	fateDelivered
)

// ended closes a delivery, and with the last one decides what becomes of the
// mail on its server.
func (b *batch) ended(op *spool.RecordOp, w owed, died bool) error {
	w.open--
	if died {
		w.dead++
	}
	was, end := w.fate, int64(0)
	if w.open == 0 {
		end = unix(op.At)
		w.fate = fateDelivered
		if w.dead > 0 {
			w.fate = max(was, fateDead)
		}
	}
	err := b.exec(b.s.w.Ended, int64(op.ID), w.open, w.dead, end, w.asked, w.fate)
	if err == nil && !died {
		err = b.accepted(int64(op.ID), op.To, w)
	}
	if err != nil || w.open > 0 {
		return err
	}
	if w.dead == 0 {
		b.charge(spool.Charge{Mailbox: w.mailbox, Kept: -w.size, Retained: w.size})
		if op.Erase {
			if err := b.erase(int64(op.ID)); err != nil {
				return err
			}
		}
	}
	if w.fate == was {
		return nil // it was replayed, or died before
	}
	if w.dead == 0 && w.asked == "" {
		return b.settleDelivered(op, w)
	}
	todo := w.asked
	if w.dead > 0 {
		todo = w.failed
	}
	actions, err := splitActions(todo)
	if err == nil {
		op.Settle, err = b.settle(int64(op.ID), w.mailbox, actions, op.At, w.dead > 0)
	}
	return err
}

// accepted takes a mail off what waits for the sink, once no part of it does.
func (b *batch) accepted(item int64, to spool.To, w owed) error {
	if to.Part != "" || w.extra > 0 {
		var waits bool
		if err := b.query(b.s.w.Waits, item, to.Sink).Scan(&waits); err != nil || waits {
			return err
		}
	}
	b.charge(spool.Charge{Mailbox: w.mailbox, Sink: to.Sink, Waiting: -w.size})
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
