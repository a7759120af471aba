package sqlite

import (
	"time"

	"github.com/postferry/postferry/spool"
)

// remember keeps a delivery's notes, all or none.
func (b *batch) remember(op *spool.RememberOp) error {
	op.Refused = nil
	now := unix(op.At)
	// Twice as many go as come, so that what has expired does not pile up.
	if err := b.exec(b.s.w.Unnote, now, 2*len(op.Notes)); err != nil {
		return err
	}
	for i, n := range op.Notes {
		var others int
		var first int64
		if err := b.query(b.s.w.Noted, op.Sink, n.Key, op.Delivery, now, n.Most).Scan(&others, &first); err != nil {
			return err
		}
		if others >= n.Most {
			op.Refused = &spool.Refusal{Note: i, Wait: time.Duration(first - now)}
			return nil
		}
	}
	for _, n := range op.Notes {
		if err := b.exec(b.s.w.Note, op.Sink, n.Key, op.Delivery, unix(op.At.Add(n.For)), now); err != nil {
			return err
		}
	}
	return nil
}
