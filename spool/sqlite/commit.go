package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/postferry/postferry/spool"
)

// The states of a delivery and of a mail's routing, as stored.
const (
	pending = iota
	deferred
	delivered
	dead
	behind // is counted with them
)

const (
	unrouted = iota
	routed
	unmatched
	quarantined
)

// batch is one transaction under way.
type batch struct {
	s       *Store
	ctx     context.Context
	account *spool.Charged       // of the operation under way; nil if it has none
	mailbox map[string]*[8]int64 // by the columns below
	sink    map[string]*[5]int   // pending, deferred, delivered, dead; and, of the pending, those behind
	feed    map[feed]int64       // octets that wait
	learned map[int64]int        // UIDs, by box
	unnamed []string             // files whose rows go
	erased  int                  // mails
	scrub   bool                 // a mail was forgotten
}

// box is what the writer remembers of one.
type box struct {
	id      int64
	mailbox string // "" until it was bound in this process
}

type feed struct{ mailbox, sink string }

// The columns of batch.mailbox.
const (
	countTaken = iota
	countToRoute
	countUnrouted
	countQuarantined
	countSettlements
	countKept
	countLoose
	countRetained
)

// Commit implements spool.Store.
func (s *Store) Commit(ctx context.Context, ops []spool.Op) error {
	if s.conn == nil {
		return spool.ErrReadOnly
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.adopt(ops); err != nil {
		disownAll(ops)
		return s.grade(err)
	}
	b := &batch{s: s, ctx: ctx, mailbox: map[string]*[8]int64{}, sink: map[string]*[5]int{}, feed: map[feed]int64{}, learned: map[int64]int{}}
	err := b.exec(s.w.Begin)
	if err == nil {
		err = b.all(ops)
	}
	if err == nil {
		pass(ops, before)
		err = b.exec(s.w.Commit)
	}
	if err != nil {
		_ = b.exec(s.w.Rollback) // it may be rolled back already
		clear(s.boxes)           // they may not have been stored
		if err = s.grade(err); !errors.Is(err, spool.ErrFenced) {
			disownAll(ops)
		} // else the transaction may be found whole by the next process, which sweeps
		return err
	}
	pass(ops, after)
	s.erased += b.erased
	s.scrub = s.scrub || b.scrub
	s.remove(b.unnamed)
	return nil
}

func disownAll(ops []spool.Op) {
	for _, op := range ops {
		if take, ok := op.(*spool.TakeOp); ok {
			disown(take.Octets)
		}
	}
}

func (b *batch) all(ops []spool.Op) error {
	for _, op := range ops {
		b.account = nil
		if c, ok := op.(interface{ Charging() *spool.Charged }); ok {
			b.account = c.Charging()
			b.account.Charges = nil
		}
		if err := b.one(op); err != nil {
			return err
		}
	}
	return b.count()
}

func (b *batch) one(op spool.Op) error {
	switch op := op.(type) {
	case *spool.TakeOp:
		return b.take(op)
	case *spool.RouteOp:
		return b.route(op)
	case *spool.RecordOp:
		return b.record(op)
	case *spool.SettledOp:
		return b.settled(op)
	case *spool.DeclinedOp:
		return b.declined(op)
	case *spool.LedgerOp:
		return b.ledger(op)
	case *spool.RecogniseOp:
		return b.alike(op)
	case *spool.BindOp:
		_, err := b.bind(op.Box, op.Mailbox)
		return err
	case *spool.HoldOp:
		if op.Resume {
			return b.exec(b.s.w.Resume, op.Sink)
		}
		return b.exec(b.s.w.Hold, op.Sink, unix(op.ProbeAt), op.Reason)
	case *spool.ListedOp:
		if op.Error != "" {
			return b.exec(b.s.w.NotListed, op.Mailbox, op.Error)
		}
		return b.exec(b.s.w.Listed, op.Mailbox, unix(op.At))
	case *spool.PurgeOp:
		return b.purge(op)
	case *spool.RequeueOp:
		return b.requeue(op)
	case *spool.DropOp:
		return b.drop(op)
	case *spool.ForgetOp:
		return b.forgetAll(op)
	case *spool.RememberOp:
		return b.remember(op)
	}
	return fmt.Errorf("%T is no operation of this store", op)
}

func (b *batch) exec(stmt *sql.Stmt, args ...any) error {
	_, err := stmt.ExecContext(b.ctx, args...)
	return err
}

func (b *batch) query(stmt *sql.Stmt, args ...any) *sql.Row {
	return stmt.QueryRowContext(b.ctx, args...)
}

// column reads every row's one column.
func column[T any](b *batch, stmt *sql.Stmt, args ...any) ([]T, error) {
	rows, err := stmt.QueryContext(b.ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var one T
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

func (b *batch) box(key spool.BoxKey) (int64, error) {
	known, ok := b.s.boxes[key]
	if ok {
		return known.id, nil
	}
	err := b.query(b.s.w.Box, key.Account, key.Box).Scan(&known.id)
	if err == nil {
		b.s.boxes[key] = known
	}
	return known.id, err
}

// bind says which mailbox a box belongs to.
func (b *batch) bind(key spool.BoxKey, mailbox string) (id int64, err error) {
	if id, err = b.box(key); err != nil || b.s.boxes[key].mailbox == mailbox {
		return id, err
	}
	if err = b.exec(b.s.w.Bind, id, mailbox); err == nil {
		b.s.boxes[key] = box{id, mailbox}
	}
	return id, err
}

// add counts for a mailbox's status.
func (b *batch) add(mailbox string, column int, n int64) {
	if b.mailbox[mailbox] == nil {
		b.mailbox[mailbox] = &[8]int64{}
	}
	b.mailbox[mailbox][column] += n
}

// move counts a delivery that goes from one state to another; -1 is none.
func (b *batch) move(sink string, from, to int) {
	if from >= 0 {
		b.tally(sink, from, -1)
	}
	if to >= 0 {
		b.tally(sink, to, 1)
	}
}

func (b *batch) tally(sink string, column, n int) {
	if b.sink[sink] == nil {
		b.sink[sink] = &[5]int{}
	}
	b.sink[sink][column] += n
}

// charge counts octets, and tells the front.
func (b *batch) charge(c spool.Charge) {
	if b.account != nil {
		b.account.Charges = append(b.account.Charges, c)
	}
	b.add(c.Mailbox, countKept, c.Kept)
	b.add(c.Mailbox, countLoose, c.Loose)
	b.add(c.Mailbox, countRetained, c.Retained)
	if c.Waiting != 0 {
		b.feed[feed{c.Mailbox, c.Sink}] += c.Waiting
	}
}

// count brings the counts of Status and Usage up to date.
func (b *batch) count() error {
	for name, n := range b.mailbox {
		if err := b.exec(b.s.w.CountBox, name, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]); err != nil {
			return err
		}
	}
	for name, n := range b.sink {
		if err := b.exec(b.s.w.CountSink, name, n[0], n[1], n[2], n[3], n[behind]); err != nil {
			return err
		}
	}
	for box, n := range b.learned {
		if n == 0 {
			continue
		}
		if err := b.exec(b.s.w.CountKnown, n, box); err != nil {
			return err
		}
	}
	for f, n := range b.feed {
		if err := b.exec(b.s.w.CountFeed, f.mailbox, f.sink, n); err != nil {
			return err
		}
	}
	return nil
}

// unix is how times are stored: nanoseconds, 0 for the zero time.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromUnix(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
