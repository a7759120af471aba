package sqlite

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"time"

	"github.com/postferry/postferry/spool"
)

func (b *batch) take(op *spool.TakeOp) error {
	box, err := b.bind(op.BoxKey, op.Mailbox)
	if err != nil {
		return err
	}
	sum := op.Octets.SHA256()
	var known sql.NullInt64
	var uidKnown, octetsKnown bool
	if err := b.query(b.s.w.Seen, box, op.UID, prefix(sum[:]), op.Account, sum[:]).Scan(&uidKnown, &known, &octetsKnown); err != nil {
		return err
	}
	if known.Valid {
		return b.known(op, spool.ID(known.Int64), b.exec(b.s.w.Back, box, op.UID))
	}
	op.Ordinal = 0
	if octetsKnown {
		if found, err := b.recognise(op, box, sum[:]); found || err != nil {
			return err
		}
		if err := b.query(b.s.w.Ordinal, prefix(sum[:]), op.Account, sum[:]).Scan(&op.Ordinal); err != nil {
			return err
		}
	}
	res, err := b.s.w.Item.ExecContext(b.ctx, op.Mailbox, op.Protocol, box, op.UID,
		unix(op.ReceivedAt), unix(op.At), joinFlags(op.Flags), op.Account, sum[:], prefix(sum[:]), op.Ordinal, op.Octets.Size(), fileName(op.Octets),
		op.Policy.After.String(), int64(op.Policy.Delay), op.Policy.Taken, op.Policy.Failed.String())
	if err != nil {
		return err
	}
	id, err := res.LastInsertId()
	if err != nil {
		return err
	}
	op.ID, op.Known = spool.ID(id), false
	if op.Octets.File() == nil {
		if err := b.exec(b.s.w.Octets, id, op.Octets.Bytes()); err != nil {
			return err
		}
	}
	if err := b.exec(b.s.w.Learn, box, op.UID, id, op.Head); err != nil {
		return err
	}
	if !uidKnown {
		b.learned[box]++
	}
	b.charge(spool.Charge{Mailbox: op.Mailbox, Kept: op.Octets.Size(), Loose: op.Octets.Size()})
	b.add(op.Mailbox, countTaken, 1)
	b.add(op.Mailbox, countToRoute, 1)
	op.Settle = spool.Due{}
	op.Made = nil
	if op.Errand != nil {
		return b.send(op)
	}
	if op.Policy.Taken {
		op.Settle, err = b.settle(id, op.Mailbox, []spool.Action{op.Policy.After}, op.At.Add(op.Policy.Delay), false)
	}
	return err
}

func prefix(sum []byte) int64 { return int64(binary.BigEndian.Uint32(sum)) }

// known ends a take of a mail that is here already.
func (b *batch) known(op *spool.TakeOp, id spool.ID, err error) error {
	op.ID, op.Known, op.Settle, op.Made = id, true, spool.Due{}, nil
	disown(op.Octets)
	return err
}

// recognise finds a mail that its server has given another UID.
func (b *batch) recognise(op *spool.TakeOp, box int64, sum []byte) (bool, error) {
	var id int64
	var was string
	err := b.query(b.s.w.Renumbered, prefix(sum), op.Account, sum, box).Scan(&id, &was)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if _, err := column[sql.NullInt64](b, b.s.w.Unlearn, box, was); err != nil {
		return false, err
	}
	return true, b.known(op, spool.ID(id), errors.Join(
		b.exec(b.s.w.Learn, box, op.UID, id, op.Head),
		b.exec(b.s.w.Renumber, op.UID, id),
	))
}

// settle creates the settlements of a mail; Keep asks for none.
func (b *batch) settle(item int64, mailbox string, actions []spool.Action, at time.Time, failed bool) (spool.Due, error) {
	var due spool.Due
	for _, a := range actions {
		if a.Verb == spool.Keep || a.Verb == "" {
			continue
		}
		if err := b.exec(b.s.w.Settle, item, mailbox, a.String(), unix(at), failed); err != nil {
			return due, err
		}
		b.add(mailbox, countSettlements, 1)
		due = spool.Due{Mailbox: mailbox, At: at}
	}
	return due, nil
}
