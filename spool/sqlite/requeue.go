package sqlite

import (
	"database/sql"
	"errors"
	"slices"

	"github.com/postferry/postferry/spool"
)

// find is the mail a target names; sql.ErrNoRows where there is none.
func (b *batch) find(t spool.Target) (int64, error) {
	if t.Item != 0 {
		return int64(t.Item), nil
	}
	var item int64
	err := b.query(b.s.w.FindDead, t.Delivery).Scan(&item)
	if errors.Is(err, sql.ErrNoRows) {
		err = b.query(b.s.w.Find, t.Delivery).Scan(&item)
	}
	return item, err
}

// deliveries are the mail's in that state, or the one of them with that id.
func (b *batch) deliveries(item int64, state int, id string) ([]spool.Ready, error) {
	rows, err := b.s.w.OfItem.QueryContext(b.ctx, item, state, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []spool.Ready
	for rows.Next() {
		r := spool.Ready{Key: spool.Key{Item: spool.ID(item)}}
		if err := rows.Scan(&r.Sink, &r.Part, &r.Delivery, &r.Attempts, &r.Progress); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func (b *batch) requeue(op *spool.RequeueOp) error {
	op.Ready, op.Rerouted, op.Errs = nil, nil, make([]error, len(op.Targets))
	for i, t := range op.Targets {
		err := b.requeueOne(op, t)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			op.Errs[i] = spool.ErrUnknown
		case errors.Is(err, spool.ErrErased):
			op.Errs[i] = err
		case err != nil:
			return err
		}
	}
	return nil
}

func (b *batch) requeueOne(op *spool.RequeueOp, t spool.Target) error {
	item, err := b.find(t)
	if err != nil {
		return err
	}
	m, err := b.subject(item)
	if err != nil {
		return err
	}
	if op.Delivered && t.Delivery == "" && (m.route == unmatched || m.route == quarantined) {
		return b.reroute(op, item, m)
	}
	from := dead
	if op.Delivered {
		from = delivered
	}
	ended, err := b.deliveries(item, from, t.Delivery)
	if err != nil {
		return err
	}
	if op.Delivered && t.Delivery == "" {
		ended = slices.DeleteFunc(ended, func(r spool.Ready) bool { return spool.To{Sink: r.Sink, Part: r.Part}.Asked() })
	}
	if len(ended) == 0 {
		return sql.ErrNoRows
	}
	if m.erased {
		return spool.ErrErased
	}
	return b.reopen(op, item, m, from, ended)
}

// reopen makes ended deliveries of a mail pending again.
func (b *batch) reopen(op *spool.RequeueOp, item int64, m subject, from int, ended []spool.Ready) error {
	died := 0
	if from == dead {
		died = len(ended)
	}
	fate, err := b.withdraw(item)
	if err != nil {
		return err
	}
	if m.open+m.dead == 0 {
		b.charge(spool.Charge{Mailbox: m.mailbox, Kept: m.size, Retained: -m.size})
	}
	for _, d := range ended {
		var waits bool
		if err := b.query(b.s.w.Waits, item, d.Sink).Scan(&waits); err != nil {
			return err
		}
		if !waits {
			b.charge(spool.Charge{Mailbox: m.mailbox, Sink: d.Sink, Waiting: m.size})
		}
		if err := b.exec(b.s.w.Requeue, item, d.Sink, d.Part, unix(op.At)); err != nil {
			return err
		}
		b.move(d.Sink, from, pending)
		d.Due = op.At
		op.Ready = append(op.Ready, d)
	}
	return b.exec(b.s.w.Reopen, item, len(ended), died, fate)
}

// withdraw takes back the settlements a dead mail left, where they were not
// carried out, and returns the mail's fate from then on.
func (b *batch) withdraw(item int64) (fate int, err error) {
	if err := b.query(b.s.w.FateOf, item).Scan(&fate); err != nil {
		return 0, err
	}
	owed, err := column[string](b, b.s.w.Withdraw, item)
	for _, mailbox := range owed {
		b.add(mailbox, countSettlements, -1)
	}
	if fate == fateDead && len(owed) > 0 {
		fate = fateOpen
	}
	return fate, err
}

// reroute makes a mail no sink has wait for routing again.
func (b *batch) reroute(op *spool.RequeueOp, item int64, m subject) error {
	if m.erased {
		return spool.ErrErased
	}
	b.uncount(m)
	b.add(m.mailbox, countToRoute, 1)
	op.Rerouted = append(op.Rerouted, spool.ID(item))
	return b.exec(b.s.w.Reroute, item)
}

func (b *batch) drop(op *spool.DropOp) error {
	op.Dropped, op.Errs = 0, make([]error, len(op.Targets))
	for i, t := range op.Targets {
		n, err := b.dropOne(op, t)
		op.Dropped += n
		if errors.Is(err, sql.ErrNoRows) {
			op.Errs[i] = spool.ErrUnknown
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) dropOne(op *spool.DropOp, t spool.Target) (int, error) {
	item, err := b.find(t)
	if err != nil {
		return 0, err
	}
	m, err := b.subject(item)
	if err != nil {
		return 0, err
	}
	died, err := b.deliveries(item, dead, t.Delivery)
	if err != nil {
		return 0, err
	}
	if len(died) == 0 {
		return 0, sql.ErrNoRows
	}
	for _, d := range died {
		err := errors.Join(
			b.exec(b.s.w.Drop, item, d.Sink, d.Part),
			b.exec(b.s.w.DropTries, item, d.Sink, d.Part),
		)
		if err != nil {
			return 0, err
		}
		b.move(d.Sink, dead, -1)
		var waits bool
		if err := b.query(b.s.w.Waits, item, d.Sink).Scan(&waits); err != nil {
			return 0, err
		}
		if !waits {
			b.charge(spool.Charge{Mailbox: m.mailbox, Sink: d.Sink, Waiting: -m.size})
		}
	}
	if m.open == 0 && m.dead == len(died) && !m.erased {
		b.charge(spool.Charge{Mailbox: m.mailbox, Kept: -m.size, Retained: m.size})
	}
	return len(died), b.exec(b.s.w.Dropped, item, len(died), unix(op.At))
}
