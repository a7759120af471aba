package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/postferry/postferry/spool"
)

// remove removes every row of a mail of which nothing is owed any more; false
// where something is.
func (b *batch) remove(item int64) (bool, error) {
	var (
		mailbox, name     string
		size              int64
		erased, forgotten bool
	)
	err := b.query(b.s.w.Finished, item).Scan(&mailbox, &name, &size, &erased, &forgotten)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !erased {
		if err := b.erase(item); err != nil {
			return false, err
		}
	}
	if _, _, err := b.undeliver(item); err != nil {
		return false, err
	}
	if !forgotten {
		b.add(mailbox, countTaken, -1)
	}
	return true, b.exec(b.s.w.Forget, item)
}

// undeliver removes a mail's deliveries and their attempts, and returns those
// that were open, and the line of each.
func (b *batch) undeliver(item int64) (open []spool.Ready, lines []int64, err error) {
	rows, err := b.s.w.Undeliver.QueryContext(b.ctx, item)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r := spool.Ready{Key: spool.Key{Item: spool.ID(item)}}
		var state int
		var due, line int64
		if err := rows.Scan(&r.Sink, &r.Part, &r.Delivery, &state, &due, &r.Attempts, &line); err != nil {
			return nil, nil, err
		}
		r.Due = fromUnix(due)
		b.move(r.Sink, state, -1)
		if due == never {
			b.tally(r.Sink, behind, -1)
		}
		if state == pending || state == deferred {
			open, lines = append(open, r), append(lines, line)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, nil, err
	}
	return open, lines, errors.Join(b.exec(b.s.w.Attempts, item), b.exec(b.s.w.Errands, item))
}

func (b *batch) purge(op *spool.PurgeOp) error {
	items, err := column[int64](b, b.s.w.Retained, unix(op.Before), op.Limit)
	if err != nil {
		return err
	}
	op.Erased = len(items)
	for _, item := range items {
		if err := b.erase(item); err != nil {
			return err
		}
	}
	return nil
}

// erase removes the octets of a mail that was delivered in full.
func (b *batch) erase(item int64) error {
	mailbox, size, err := b.wipe(item)
	b.charge(spool.Charge{Mailbox: mailbox, Retained: -size})
	return err
}

// wipe removes a mail's octets and keeps the rest of it.
func (b *batch) wipe(item int64) (mailbox string, size int64, err error) {
	if err := b.exec(b.s.w.EraseOctets, item); err != nil {
		return "", 0, err
	}
	var name string
	var extra int64
	if err := b.query(b.s.w.Erase, item).Scan(&name, &mailbox, &size, &extra); err != nil {
		return "", 0, err
	}
	if extra > 0 {
		if err := b.exec(b.s.w.EraseErrand, item); err != nil {
			return "", 0, err
		}
	}
	if name != "" {
		b.unnamed = append(b.unnamed, name)
	}
	b.erased++
	return mailbox, size, nil
}

// subject is what an operator's change needs to know of a mail.
type subject struct {
	mailbox           string
	route, open, dead int
	erased, forgotten bool
	size              int64
}

func (b *batch) subject(item int64) (m subject, err error) {
	err = b.query(b.s.w.Subject, item).Scan(&m.mailbox, &m.route, &m.open, &m.dead, &m.erased, &m.size, &m.forgotten)
	if err == nil && m.forgotten {
		err = sql.ErrNoRows
	}
	return m, err
}

// forgetAll carries a ForgetOp out.
func (b *batch) forgetAll(op *spool.ForgetOp) error {
	op.Forgotten, op.Ended, op.Freed = nil, nil, nil
	b.scrub = true
	for _, id := range op.Items {
		err := b.forget(op, int64(id))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("forget mail %d: %w", id, err)
		}
	}
	return nil
}

func (b *batch) forget(op *spool.ForgetOp, item int64) error {
	m, err := b.subject(item)
	if err != nil {
		return err
	}
	if err := b.forgetOctets(item, m); err != nil {
		return err
	}
	ended, lines, err := b.undeliver(item)
	if err != nil {
		return err
	}
	for i, r := range ended {
		if err := b.advance(r.Sink, lines[i], op.At, &op.Freed); err != nil {
			return err
		}
	}
	b.uncount(m)
	b.add(m.mailbox, countTaken, -1)
	op.Ended = append(op.Ended, ended...)
	op.Forgotten = append(op.Forgotten, spool.ID(item))
	return b.exec(b.s.w.Blank, item)
}

// forgetOctets removes a mail's octets, and what it counts for, whatever state
// it is in.
func (b *batch) forgetOctets(item int64, m subject) error {
	var sinks []string
	for _, state := range []int{pending, deferred, dead} {
		more, err := b.deliveries(item, state, "")
		if err != nil {
			return err
		}
		for _, d := range more {
			if !slices.Contains(sinks, d.Sink) {
				sinks = append(sinks, d.Sink)
				b.charge(spool.Charge{Mailbox: m.mailbox, Sink: d.Sink, Waiting: -m.size})
			}
		}
	}
	if m.erased {
		return nil
	}
	c := spool.Charge{Mailbox: m.mailbox, Retained: -m.size}
	switch {
	case m.route != routed:
		c = spool.Charge{Mailbox: m.mailbox, Kept: -m.size, Loose: -m.size}
	case m.open+m.dead > 0:
		c = spool.Charge{Mailbox: m.mailbox, Kept: -m.size}
	}
	b.charge(c)
	_, _, err := b.wipe(item)
	return err
}

// uncount takes a mail off the counts of its routing's state.
func (b *batch) uncount(m subject) {
	switch m.route {
	case unrouted:
		b.add(m.mailbox, countToRoute, -1)
	case unmatched:
		b.add(m.mailbox, countUnrouted, -1)
	case quarantined:
		b.add(m.mailbox, countQuarantined, -1)
	}
}
