package sqlite

import (
	"database/sql"
	"errors"

	"github.com/postferry/postferry/spool"
)

func (b *batch) settled(op *spool.SettledOp) error {
	op.Gone = nil
	for _, id := range op.IDs {
		var mailbox, action string
		var item int64
		err := b.query(b.s.w.Settled, id).Scan(&mailbox, &item, &action)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		b.add(mailbox, countSettlements, -1)
		// What was removed on purpose is gone from now on: a listing without it says
		// nothing of a reset.
		if a, err := spool.ParseAction(action); err == nil && (a.Verb == spool.Delete || a.Verb == spool.Move) {
			var p spool.Place
			err := b.query(b.s.w.Removed, unix(op.At), item).Scan(&p.Account, &p.Box, &p.UID)
			switch {
			case err == nil:
				op.Gone = append(op.Gone, p)
			case !errors.Is(err, sql.ErrNoRows):
				return err
			}
		}
	}
	return nil
}

func (b *batch) declined(op *spool.DeclinedOp) error {
	for _, d := range op.Declined {
		if err := b.exec(b.s.w.Declined, d.ID, unix(d.Again)); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) ledger(op *spool.LedgerOp) error {
	box, err := b.box(op.Box)
	if err != nil {
		return err
	}
	learned := 0
	for _, uid := range op.Skip {
		res, err := b.s.w.Skip.ExecContext(b.ctx, box, uid)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		learned += int(n)
	}
	for _, uid := range op.Back {
		if err := b.exec(b.s.w.Back, box, uid); err != nil {
			return err
		}
	}
	for _, uid := range op.Gone {
		if err := b.exec(b.s.w.Gone, unix(op.At), op.Reset, box, uid); err != nil {
			return err
		}
	}
	for _, uid := range op.Forget {
		forgotten, err := b.unlearn(box, uid)
		if err != nil {
			return err
		}
		if forgotten {
			learned--
		}
	}
	for _, h := range op.Heads {
		if err := b.exec(b.s.w.Head, h.Sum, box, h.UID); err != nil {
			return err
		}
	}
	if op.Baseline {
		err = errors.Join(err, b.exec(b.s.w.Baseline, box))
	}
	if op.Cursor != nil {
		err = errors.Join(err, b.exec(b.s.w.Cursor, *op.Cursor, box))
	}
	b.learned[box] += learned
	return err
}

// unlearn forgets a UID and its mail, unless something of the mail is still open:
// then both stay.
func (b *batch) unlearn(box int64, uid string) (bool, error) {
	var item sql.NullInt64
	err := b.query(b.s.w.Known, box, uid).Scan(&item)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err == nil && item.Valid {
		var finished bool
		if finished, err = b.remove(item.Int64); err == nil && !finished {
			return false, nil
		}
	}
	if err == nil {
		_, err = column[sql.NullInt64](b, b.s.w.Unlearn, box, uid)
	}
	return err == nil, err
}

// alike gives the mails of a renumbered box their new UIDs.
func (b *batch) alike(op *spool.RecogniseOp) error {
	op.Known = nil
	box, err := b.box(op.Box)
	if err != nil {
		return err
	}
	for _, h := range op.Heads {
		found, err := b.rename(box, h)
		if err != nil {
			return err
		}
		if found {
			op.Known = append(op.Known, h.UID)
		}
	}
	return nil
}

// rename finds the mail with the head and gives it its new UID.
func (b *batch) rename(box int64, h spool.Head) (bool, error) {
	var item sql.NullInt64
	if err := b.query(b.s.w.Known, box, h.UID).Scan(&item); err == nil || !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	var was string
	err := b.query(b.s.w.Alike, box, h.Sum).Scan(&was, &item)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err == nil {
		_, err = column[sql.NullInt64](b, b.s.w.Unlearn, box, was)
	}
	if err == nil {
		err = b.exec(b.s.w.Learn, box, h.UID, item, h.Sum)
	}
	if err == nil && item.Valid {
		err = b.exec(b.s.w.Renumber, h.UID, item.Int64)
	}
	return err == nil, err
}
