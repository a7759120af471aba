package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/postferry/postferry/spool"
)

// ask makes the deliveries that an answer asked for, before the one that it
// answered has ended.
func (b *batch) ask(op *spool.RecordOp, w *owed) error {
	for _, e := range op.Errands {
		to := spool.ErrandTo(op.To, e)
		r := spool.Ready{Key: spool.Key{Due: op.At, Item: op.ID, Part: to.Part}, Sink: to.Sink, Delivery: spool.ErrandID(op.Delivery, e.Verb)}
		made, err := b.errand(r, e, w.mailbox, w.size)
		if err != nil {
			return err
		}
		if !made {
			continue // it was asked for before
		}
		w.open++
		w.extra += int64(len(e.Content))
		w.size += int64(len(e.Content))
		op.Made = append(op.Made, r)
	}
	return nil
}

// send routes a mail just taken to what its errand says.
func (b *batch) send(op *spool.TakeOp) error {
	to := spool.ErrandTo(spool.To{}, *op.Errand)
	id := spool.DeliveryID(op.Account, op.Octets.SHA256(), op.Ordinal, to)
	var mailbox string
	var size int64
	if err := b.query(b.s.w.Route, int64(op.ID), routed, "", nil, 1).Scan(&mailbox, &size); err != nil {
		return err
	}
	b.add(mailbox, countToRoute, -1)
	b.charge(spool.Charge{Mailbox: mailbox, Loose: -size})
	r := spool.Ready{Key: spool.Key{Due: op.At, Item: op.ID, Part: to.Part}, Sink: to.Sink, Delivery: id}
	_, err := b.errand(r, *op.Errand, mailbox, size)
	op.Made = []spool.Ready{r}
	return err
}

// errand stores what a delivery is to do, and the delivery. What the mail counts
// for grows by it. It is false where the mail has it already.
func (b *batch) errand(r spool.Ready, e spool.Errand, mailbox string, size int64) (made bool, err error) {
	item := int64(r.Item)
	res, err := b.s.w.Errand.ExecContext(b.ctx, item, r.Part, r.Sink, e.Verb, e.Parent, []byte(e.Content))
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	extra := int64(len(e.Content))
	waiting, err := column[string](b, b.s.w.Waiting, item)
	if err != nil {
		return false, err
	}
	b.charge(spool.Charge{Mailbox: mailbox, Kept: extra})
	waits := false
	for _, sink := range waiting {
		b.charge(spool.Charge{Mailbox: mailbox, Sink: sink, Waiting: extra})
		waits = waits || sink == r.Sink
	}
	if !waits {
		b.charge(spool.Charge{Mailbox: mailbox, Sink: r.Sink, Waiting: size + extra})
	}
	b.move(r.Sink, -1, pending)
	return true, errors.Join(
		b.exec(b.s.w.Extra, item, extra),
		b.exec(b.s.w.Deliver, item, r.Sink, r.Part, r.Delivery, unix(r.Due), 0),
	)
}

// Errand implements spool.Store.
func (s *Store) Errand(ctx context.Context, id spool.ID, to spool.To) (*spool.Errand, error) {
	e := spool.Errand{Sink: to.Sink}
	err := s.reader.QueryRowContext(ctx, "SELECT verb, parent, content FROM errands WHERE item = ? AND part = ? AND sink = ?", int64(id), to.Part, to.Sink).
		Scan(&e.Verb, &e.Parent, (*[]byte)(&e.Content))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, spool.ErrUnknown
	}
	if err != nil {
		return nil, s.grade(err)
	}
	return &e, nil
}

// errandsOf adds what a mail's deliveries are to do.
func (s *Store) errandsOf(ctx context.Context, m *spool.Mail) error {
	return s.scanArgs(ctx, "SELECT part, sink, verb, parent, content FROM errands WHERE item = ?", []any{int64(m.ID)}, func(rows *sql.Rows) error {
		var part string
		var e spool.Errand
		if err := rows.Scan(&part, &e.Sink, &e.Verb, &e.Parent, (*[]byte)(&e.Content)); err != nil {
			return err
		}
		if len(e.Content) == 0 {
			e.Content = nil
		}
		for i := range m.Deliveries {
			if d := &m.Deliveries[i]; d.Sink == e.Sink && d.Part == part {
				d.Errand = &e
			}
		}
		return nil
	})
}
