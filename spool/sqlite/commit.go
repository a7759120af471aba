package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/postferry/postferry/spool"
)

// The states of a delivery and of a mail's routing, as stored.
const (
	pending = iota
	deferred
	delivered
	dead
)

const (
	unrouted = iota
	routed
	unmatched
	quarantined
)

// statements are what a commit runs, prepared once on the writer's connection.
type statements struct {
	Box         *sql.Stmt `sql:"INSERT INTO boxes (account, box) VALUES (?, ?) ON CONFLICT DO UPDATE SET account = excluded.account RETURNING id"`
	Bind        *sql.Stmt `sql:"UPDATE boxes SET mailbox = ?2 WHERE id = ?1 AND mailbox <> ?2"`
	Known       *sql.Stmt `sql:"SELECT item FROM ledger WHERE box = ? AND uid = ?"`
	Renumbered  *sql.Stmt `sql:"SELECT i.id, l.uid FROM items i JOIN ledger l ON l.box = i.box AND l.uid = i.current WHERE i.account = ? AND i.sha256 = ? AND i.box = ? AND l.renumbered = 1 AND l.item = i.id ORDER BY i.ordinal LIMIT 1"`
	Renumber    *sql.Stmt `sql:"UPDATE items SET current = ? WHERE id = ?"`
	Ordinal     *sql.Stmt `sql:"SELECT coalesce(max(ordinal) + 1, 0) FROM items WHERE account = ? AND sha256 = ?"`
	Item        *sql.Stmt `sql:"INSERT INTO items (mailbox, protocol, box, uid, current, received, taken, flags, account, sha256, ordinal, size, file, after, delay, early, failed) VALUES (?, ?, ?, ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"`
	Octets      *sql.Stmt `sql:"INSERT INTO octets (item, data) VALUES (?, ?)"`
	Learn       *sql.Stmt `sql:"INSERT INTO ledger (box, uid, item) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET item = coalesce(excluded.item, item), gone = 0, renumbered = 0"`
	Skip        *sql.Stmt `sql:"INSERT INTO ledger (box, uid) VALUES (?, ?) ON CONFLICT DO NOTHING"`
	Back        *sql.Stmt `sql:"UPDATE ledger SET gone = 0, renumbered = 0 WHERE box = ? AND uid = ?"`
	Gone        *sql.Stmt `sql:"UPDATE ledger SET gone = ? WHERE box = ? AND uid = ?"`
	Reset       *sql.Stmt `sql:"UPDATE ledger SET renumbered = 1 WHERE box = ? AND gone = ?"`
	Unlearn     *sql.Stmt `sql:"DELETE FROM ledger WHERE box = ? AND uid = ? RETURNING item"`
	CountKnown  *sql.Stmt `sql:"UPDATE boxes SET known = known + ? WHERE id = ?"`
	Cursor      *sql.Stmt `sql:"UPDATE boxes SET cursor = ? WHERE id = ?"`
	Baseline    *sql.Stmt `sql:"UPDATE boxes SET baseline = 1 WHERE id = ?"`
	Routed      *sql.Stmt `sql:"SELECT mailbox, route FROM items WHERE id = ?"`
	Route       *sql.Stmt `sql:"UPDATE items SET route = ?, reason = ?, facts = ?, open = ? WHERE id = ?"`
	Deliver     *sql.Stmt `sql:"INSERT INTO deliveries (item, sink, part, id, due) VALUES (?, ?, ?, ?, ?)"`
	Delivery    *sql.Stmt `sql:"SELECT state, attempts FROM deliveries WHERE item = ? AND sink = ? AND part = ? AND id = ? AND state < 2"`
	Tried       *sql.Stmt `sql:"UPDATE deliveries SET state = ?4, due = CASE WHEN ?5 = 0 THEN due ELSE ?5 END, attempts = attempts + 1, first = CASE first WHEN 0 THEN ?6 ELSE first END WHERE item = ?1 AND sink = ?2 AND part = ?3"`
	Attempt     *sql.Stmt `sql:"INSERT INTO attempts (item, sink, part, n, at, duration, state, detail, answer, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"`
	Asked       *sql.Stmt `sql:"UPDATE items SET actions = ? WHERE id = ?"`
	Ended       *sql.Stmt `sql:"UPDATE items SET open = open - 1, dead = dead + ?, ended = CASE open WHEN 1 THEN ? ELSE 0 END WHERE id = ? RETURNING open, dead, mailbox, after, delay, early, failed, actions, file"`
	Settle      *sql.Stmt `sql:"INSERT INTO settlements (item, mailbox, action, due) VALUES (?, ?, ?, ?)"`
	Settled     *sql.Stmt `sql:"DELETE FROM settlements WHERE id = ? RETURNING mailbox"`
	EraseOctets *sql.Stmt `sql:"DELETE FROM octets WHERE item = ?"`
	Erase       *sql.Stmt `sql:"UPDATE items SET erased = 1 WHERE id = ? RETURNING file"`
	Retained    *sql.Stmt `sql:"SELECT id FROM items WHERE ended > 0 AND ended < ? AND dead = 0 AND erased = 0 AND open = 0 LIMIT ?"`
	Finished    *sql.Stmt `sql:"SELECT mailbox, file FROM items WHERE id = ?1 AND route = 1 AND open = 0 AND dead = 0 AND NOT EXISTS (SELECT 1 FROM settlements WHERE item = ?1)"`
	Delivered   *sql.Stmt `sql:"DELETE FROM deliveries WHERE item = ? RETURNING sink"`
	Attempts    *sql.Stmt `sql:"DELETE FROM attempts WHERE item = ?"`
	Forget      *sql.Stmt `sql:"DELETE FROM items WHERE id = ?"`
	Hold        *sql.Stmt `sql:"INSERT INTO holds (sink, probe, reason) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET probe = excluded.probe, reason = excluded.reason"`
	Resume      *sql.Stmt `sql:"DELETE FROM holds WHERE sink = ?"`
	Listed      *sql.Stmt `sql:"INSERT INTO mailboxes (name, listed) VALUES (?, ?) ON CONFLICT DO UPDATE SET listed = excluded.listed, error = ''"`
	NotListed   *sql.Stmt `sql:"INSERT INTO mailboxes (name, error) VALUES (?, ?) ON CONFLICT DO UPDATE SET error = excluded.error"`
	CountBox    *sql.Stmt `sql:"INSERT INTO mailboxes (name, taken, toroute, unrouted, quarantined, settlements) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET taken = taken + excluded.taken, toroute = toroute + excluded.toroute, unrouted = unrouted + excluded.unrouted, quarantined = quarantined + excluded.quarantined, settlements = settlements + excluded.settlements"`
	CountSink   *sql.Stmt `sql:"INSERT INTO sinks (name, pending, deferred, delivered, dead) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET pending = pending + excluded.pending, deferred = deferred + excluded.deferred, delivered = delivered + excluded.delivered, dead = dead + excluded.dead"`
}

// each calls do for every statement and its text.
func (st *statements) each(do func(stmt **sql.Stmt, query string) error) error {
	v := reflect.ValueOf(st).Elem()
	for i := range v.NumField() {
		stmt := v.Field(i).Addr().Interface().(**sql.Stmt)
		if err := do(stmt, v.Type().Field(i).Tag.Get("sql")); err != nil {
			return fmt.Errorf("%s: %w", v.Type().Field(i).Name, err)
		}
	}
	return nil
}

func (st *statements) prepare(ctx context.Context, db *sql.DB) error {
	return st.each(func(stmt **sql.Stmt, query string) (err error) {
		*stmt, err = db.PrepareContext(ctx, query)
		return err
	})
}

func (st *statements) close() {
	_ = st.each(func(stmt **sql.Stmt, _ string) error {
		if *stmt != nil {
			_ = (*stmt).Close()
		}
		return nil
	})
}

// batch is one transaction under way.
type batch struct {
	s       *Store
	ctx     context.Context
	tx      *sql.Tx
	mailbox map[string]*[5]int // taken, toroute, unrouted, quarantined, settlements
	sink    map[string]*[4]int // pending, deferred, delivered, dead
	unnamed []string           // files whose rows go
}

// The columns of batch.mailbox.
const (
	countTaken = iota
	countToRoute
	countUnrouted
	countQuarantined
	countSettlements
)

// Commit implements spool.Store.
func (s *Store) Commit(ctx context.Context, ops []spool.Op) error {
	if err := s.adopt(ops); err != nil {
		disownAll(ops)
		return err
	}
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		disownAll(ops)
		return grade(err)
	}
	b := &batch{s: s, ctx: ctx, tx: tx, mailbox: map[string]*[5]int{}, sink: map[string]*[4]int{}}
	err = b.all(ops)
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		_ = tx.Rollback()
		clear(s.boxes) // ids of boxes that were not stored
		disownAll(ops)
		return grade(err)
	}
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
	case *spool.LedgerOp:
		return b.ledger(op)
	case *spool.BindOp:
		box, err := b.box(op.Box)
		if err != nil {
			return err
		}
		return b.bind(box, op.Mailbox)
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
	}
	return fmt.Errorf("%T is no operation of this store", op)
}

func (b *batch) exec(stmt *sql.Stmt, args ...any) error {
	_, err := b.tx.StmtContext(b.ctx, stmt).ExecContext(b.ctx, args...)
	return err
}

func (b *batch) query(stmt *sql.Stmt, args ...any) *sql.Row {
	return b.tx.StmtContext(b.ctx, stmt).QueryRowContext(b.ctx, args...)
}

// column reads every row's one column.
func column[T any](b *batch, stmt *sql.Stmt, args ...any) ([]T, error) {
	rows, err := b.tx.StmtContext(b.ctx, stmt).QueryContext(b.ctx, args...)
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
	if id, ok := b.s.boxes[key]; ok {
		return id, nil
	}
	var id int64
	err := b.query(b.s.w.Box, key.Account, key.Box).Scan(&id)
	if err == nil {
		b.s.boxes[key] = id
	}
	return id, err
}

// bind says which mailbox a box belongs to.
func (b *batch) bind(box int64, mailbox string) error {
	return b.exec(b.s.w.Bind, box, mailbox)
}

func (b *batch) take(op *spool.TakeOp) error {
	box, err := b.box(op.BoxKey)
	if err != nil {
		return err
	}
	var known sql.NullInt64
	err = b.query(b.s.w.Known, box, op.UID).Scan(&known)
	skipped := err == nil && !known.Valid
	switch {
	case err == nil && known.Valid:
		return b.known(op, spool.ID(known.Int64), b.exec(b.s.w.Back, box, op.UID))
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	}
	sum := op.Octets.SHA256()
	if found, err := b.recognise(op, box, sum[:]); found || err != nil {
		return err
	}
	if err := b.query(b.s.w.Ordinal, op.Account, sum[:]).Scan(&op.Ordinal); err != nil {
		return err
	}
	res, err := b.tx.StmtContext(b.ctx, b.s.w.Item).ExecContext(b.ctx, op.Mailbox, op.Protocol, box, op.UID,
		unix(op.ReceivedAt), unix(op.At), joinFlags(op.Flags), op.Account, sum[:], op.Ordinal, op.Octets.Size(), fileName(op.Octets),
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
	if err := b.exec(b.s.w.Learn, box, op.UID, id); err != nil {
		return err
	}
	if !skipped {
		if err := b.exec(b.s.w.CountKnown, 1, box); err != nil {
			return err
		}
	}
	if err := b.bind(box, op.Mailbox); err != nil {
		return err
	}
	b.add(op.Mailbox, countTaken, 1)
	b.add(op.Mailbox, countToRoute, 1)
	op.Settle = spool.Due{}
	if op.Policy.Taken {
		op.Settle, err = b.settle(id, op.Mailbox, []spool.Action{op.Policy.After}, op.At.Add(op.Policy.Delay))
	}
	return err
}

// known ends a take of a mail that is here already.
func (b *batch) known(op *spool.TakeOp, id spool.ID, err error) error {
	op.ID, op.Known, op.Settle = id, true, spool.Due{}
	disown(op.Octets)
	return err
}

// recognise finds a mail that its server has given another UID.
func (b *batch) recognise(op *spool.TakeOp, box int64, sum []byte) (bool, error) {
	var id int64
	var was string
	err := b.query(b.s.w.Renumbered, op.Account, sum, box).Scan(&id, &was)
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
		b.exec(b.s.w.Learn, box, op.UID, id),
		b.exec(b.s.w.Renumber, op.UID, id),
	))
}

// settle creates the settlements of a mail; Keep asks for none.
func (b *batch) settle(item int64, mailbox string, actions []spool.Action, at time.Time) (spool.Due, error) {
	var due spool.Due
	for _, a := range actions {
		if a.Verb == spool.Keep || a.Verb == "" {
			continue
		}
		if err := b.exec(b.s.w.Settle, item, mailbox, a.String(), unix(at)); err != nil {
			return due, err
		}
		b.add(mailbox, countSettlements, 1)
		due = spool.Due{Mailbox: mailbox, At: at}
	}
	return due, nil
}

func (b *batch) route(op *spool.RouteOp) error {
	var mailbox string
	var state int
	op.Err = nil
	err := b.query(b.s.w.Routed, int64(op.ID)).Scan(&mailbox, &state)
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

// ended closes a delivery, and with the last one decides what becomes of the
// mail on its server.
func (b *batch) ended(op *spool.RecordOp, died bool) error {
	var (
		open, deadOnes                      int
		delay                               int64
		early                               bool
		mailbox, after, failed, asked, name string
	)
	count := 0
	if died {
		count = 1
	}
	err := b.query(b.s.w.Ended, count, unix(op.At), int64(op.ID)).Scan(&open, &deadOnes, &mailbox, &after, &delay, &early, &failed, &asked, &name)
	if err != nil || open > 0 {
		return err
	}
	if deadOnes == 0 && op.Erase {
		if err := b.erase(int64(op.ID)); err != nil {
			return err
		}
	}
	at := op.At
	var actions []spool.Action
	switch {
	case deadOnes > 0:
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
	op.Settle, err = b.settle(int64(op.ID), mailbox, actions, at)
	return err
}

func joinActions(actions []spool.Action) string {
	texts := make([]string, len(actions))
	for i, a := range actions {
		texts[i] = a.String()
	}
	return strings.Join(texts, "\n")
}

func splitActions(text string) ([]spool.Action, error) {
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

func (b *batch) settled(op *spool.SettledOp) error {
	for _, id := range op.IDs {
		mailboxes, err := column[string](b, b.s.w.Settled, id)
		if err != nil {
			return err
		}
		for _, m := range mailboxes {
			b.add(m, countSettlements, -1)
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
		res, err := b.tx.StmtContext(b.ctx, b.s.w.Skip).ExecContext(b.ctx, box, uid)
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
		if err := b.exec(b.s.w.Gone, unix(op.At), box, uid); err != nil {
			return err
		}
	}
	for _, uid := range op.Forget {
		items, err := column[sql.NullInt64](b, b.s.w.Unlearn, box, uid)
		if err != nil {
			return err
		}
		learned -= len(items)
		for _, item := range items {
			if err := b.forget(item.Int64); err != nil {
				return err
			}
		}
	}
	if op.Reset {
		err = b.exec(b.s.w.Reset, box, unix(op.At))
	}
	if op.Baseline {
		err = errors.Join(err, b.exec(b.s.w.Baseline, box))
	}
	if op.Cursor != nil {
		err = errors.Join(err, b.exec(b.s.w.Cursor, *op.Cursor, box))
	}
	if learned != 0 {
		err = errors.Join(err, b.exec(b.s.w.CountKnown, learned, box))
	}
	return err
}

// forget removes a mail of which nothing is owed any more.
func (b *batch) forget(item int64) error {
	var mailbox, name string
	err := b.query(b.s.w.Finished, item).Scan(&mailbox, &name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	sinks, err := column[string](b, b.s.w.Delivered, item)
	if err != nil {
		return err
	}
	for _, sink := range sinks {
		b.move(sink, delivered, -1)
	}
	b.add(mailbox, countTaken, -1)
	if name != "" {
		b.unnamed = append(b.unnamed, name)
	}
	return errors.Join(b.exec(b.s.w.Attempts, item), b.exec(b.s.w.EraseOctets, item), b.exec(b.s.w.Forget, item))
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

// erase removes a mail's octets and keeps the rest of it.
func (b *batch) erase(item int64) error {
	if err := b.exec(b.s.w.EraseOctets, item); err != nil {
		return err
	}
	names, err := column[string](b, b.s.w.Erase, item)
	b.unnamed = append(b.unnamed, slices.DeleteFunc(names, func(n string) bool { return n == "" })...)
	b.s.erased++
	return err
}

// add counts for a mailbox's status.
func (b *batch) add(mailbox string, column, n int) {
	if b.mailbox[mailbox] == nil {
		b.mailbox[mailbox] = &[5]int{}
	}
	b.mailbox[mailbox][column] += n
}

// move counts a delivery that goes from one state to another; -1 is none.
func (b *batch) move(sink string, from, to int) {
	if b.sink[sink] == nil {
		b.sink[sink] = &[4]int{}
	}
	if from >= 0 {
		b.sink[sink][from]--
	}
	if to >= 0 {
		b.sink[sink][to]++
	}
}

// count brings the counts of Status up to date.
func (b *batch) count() error {
	for name, n := range b.mailbox {
		if err := b.exec(b.s.w.CountBox, name, n[0], n[1], n[2], n[3], n[4]); err != nil {
			return err
		}
	}
	for name, n := range b.sink {
		if err := b.exec(b.s.w.CountSink, name, n[0], n[1], n[2], n[3]); err != nil {
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
