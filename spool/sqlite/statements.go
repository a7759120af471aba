package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
)

// statements are what a commit runs, prepared once on the writer's connection.
type statements struct {
	Box         *sql.Stmt `sql:"INSERT INTO boxes (account, box) VALUES (?, ?) ON CONFLICT DO UPDATE SET account = excluded.account RETURNING id"`
	Bind        *sql.Stmt `sql:"UPDATE boxes SET mailbox = ?2 WHERE id = ?1 AND mailbox <> ?2"`
	Known       *sql.Stmt `sql:"SELECT item FROM ledger WHERE box = ? AND uid = ?"`
	Seen        *sql.Stmt `sql:"SELECT l.uid IS NOT NULL, l.item, EXISTS (SELECT 1 FROM items WHERE prefix = ?3 AND account = ?4 AND sha256 = ?5) FROM (SELECT 1) LEFT JOIN ledger l ON l.box = ?1 AND l.uid = ?2"`
	Renumbered  *sql.Stmt `sql:"SELECT i.id, l.uid FROM items i JOIN ledger l ON l.box = i.box AND l.uid = i.current WHERE i.prefix = ? AND i.account = ? AND i.sha256 = ? AND i.box = ? AND l.renumbered = 1 AND l.item = i.id ORDER BY i.ordinal LIMIT 1"`
	Renumber    *sql.Stmt `sql:"UPDATE items SET current = ? WHERE id = ?"`
	Ordinal     *sql.Stmt `sql:"SELECT coalesce(max(ordinal) + 1, 0) FROM items WHERE prefix = ? AND account = ? AND sha256 = ?"`
	Item        *sql.Stmt `sql:"INSERT INTO items (mailbox, protocol, box, uid, current, received, taken, flags, account, sha256, prefix, ordinal, size, file, after, delay, early, failed) VALUES (?, ?, ?, ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"`
	Octets      *sql.Stmt `sql:"INSERT INTO octets (item, data) VALUES (?, ?)"`
	Learn       *sql.Stmt `sql:"INSERT INTO ledger (box, uid, item, head) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET item = coalesce(excluded.item, item), head = excluded.head, gone = 0, renumbered = 0"`
	Skip        *sql.Stmt `sql:"INSERT INTO ledger (box, uid) VALUES (?, ?) ON CONFLICT DO NOTHING"`
	Back        *sql.Stmt `sql:"UPDATE ledger SET gone = 0, renumbered = 0 WHERE box = ? AND uid = ?"`
	Gone        *sql.Stmt `sql:"UPDATE ledger SET gone = ?, renumbered = ? WHERE box = ? AND uid = ?"`
	Head        *sql.Stmt `sql:"UPDATE ledger SET head = ? WHERE box = ? AND uid = ? AND item IS NULL"`
	Alike       *sql.Stmt `sql:"SELECT uid, item FROM ledger WHERE box = ? AND head = ? AND renumbered = 1 ORDER BY uid LIMIT 1"`
	Unlearn     *sql.Stmt `sql:"DELETE FROM ledger WHERE box = ? AND uid = ? RETURNING item"`
	CountKnown  *sql.Stmt `sql:"UPDATE boxes SET known = known + ? WHERE id = ?"`
	Cursor      *sql.Stmt `sql:"UPDATE boxes SET cursor = ? WHERE id = ?"`
	Baseline    *sql.Stmt `sql:"UPDATE boxes SET baseline = 1 WHERE id = ?"`
	Route       *sql.Stmt `sql:"UPDATE items SET route = ?2, reason = ?3, facts = ?4, open = ?5 WHERE id = ?1 AND route = 0 RETURNING mailbox, size"`
	IsThere     *sql.Stmt `sql:"SELECT EXISTS (SELECT 1 FROM items WHERE id = ?)"`
	Deliver     *sql.Stmt `sql:"INSERT INTO deliveries (item, sink, part, id, due, line) VALUES (?, ?, ?, ?, ?, ?)"`
	Earlier     *sql.Stmt `sql:"SELECT EXISTS (SELECT 1 FROM items INDEXED BY items_unrouted WHERE route = 0 AND id < ?1 AND account = (SELECT account FROM items WHERE id = ?1))"`
	InLine      *sql.Stmt `sql:"SELECT EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_line WHERE sink = ? AND line = ? AND state < 2 AND line <> 0)"`
	First       *sql.Stmt `sql:"SELECT item, part, id, due FROM deliveries INDEXED BY deliveries_line WHERE sink = ? AND line = ? AND state < 2 AND line <> 0 ORDER BY due, item, part LIMIT 1"`
	Promote     *sql.Stmt `sql:"UPDATE deliveries SET due = ?4 WHERE item = ?1 AND sink = ?2 AND part = ?3"`
	Owed        *sql.Stmt `sql:"SELECT d.state, d.attempts, d.due, d.first, d.line, i.open, i.dead, i.mailbox, i.size + i.extra, i.extra, i.after, i.delay, i.early, i.failed, i.actions, i.fate FROM deliveries d JOIN items i ON i.id = d.item WHERE d.item = ? AND d.sink = ? AND d.part = ? AND d.id = ? AND d.state < 2"`
	Tried       *sql.Stmt `sql:"UPDATE deliveries SET state = ?4, due = ?5, attempts = ?6, first = ?7, progress = ?8 WHERE item = ?1 AND sink = ?2 AND part = ?3"`
	Straight    *sql.Stmt `sql:"UPDATE items SET route = 1, facts = ?2, ended = ?3, fate = 2 WHERE id = ?1 AND route = 0 RETURNING mailbox, size + extra, after, delay, early"`
	Delivered   *sql.Stmt `sql:"INSERT INTO deliveries (item, sink, part, id, state, due, attempts, first) VALUES (?, ?, ?, ?, 2, ?, 1, ?)"`
	Attempt     *sql.Stmt `sql:"INSERT INTO attempts (item, sink, part, n, at, duration, state, detail, answer, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"`
	Ended       *sql.Stmt `sql:"UPDATE items SET open = ?2, dead = ?3, ended = ?4, actions = ?5, fate = ?6 WHERE id = ?1"`
	Asked       *sql.Stmt `sql:"UPDATE items SET actions = ? WHERE id = ?"`
	Waits       *sql.Stmt `sql:"SELECT EXISTS (SELECT 1 FROM deliveries WHERE item = ? AND sink = ? AND state <> 2)"`
	Errand      *sql.Stmt `sql:"INSERT INTO errands (item, part, sink, verb, parent, content) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"`
	Extra       *sql.Stmt `sql:"UPDATE items SET extra = extra + ?2 WHERE id = ?1"`
	Waiting     *sql.Stmt `sql:"SELECT DISTINCT sink FROM deliveries WHERE item = ? AND state <> 2"`
	EraseErrand *sql.Stmt `sql:"UPDATE errands SET content = x'' WHERE item = ?"`
	Errands     *sql.Stmt `sql:"DELETE FROM errands WHERE item = ?"`
	Settle      *sql.Stmt `sql:"INSERT INTO settlements (item, mailbox, action, due, failed) VALUES (?, ?, ?, ?, ?)"`
	Settled     *sql.Stmt `sql:"DELETE FROM settlements WHERE id = ? RETURNING mailbox, item, action"`
	Declined    *sql.Stmt `sql:"UPDATE settlements SET due = ?2, declined = declined + 1 WHERE id = ?1"`
	Removed     *sql.Stmt `sql:"UPDATE ledger SET gone = ?1 WHERE gone = 0 AND item = ?2 AND (box, uid) = (SELECT box, current FROM items WHERE id = ?2) RETURNING (SELECT account FROM boxes WHERE id = ledger.box), (SELECT x.box FROM boxes x WHERE x.id = ledger.box), uid"`
	EraseOctets *sql.Stmt `sql:"DELETE FROM octets WHERE item = ?"`
	Erase       *sql.Stmt `sql:"UPDATE items SET erased = 1 WHERE id = ? RETURNING file, mailbox, size + extra, extra"`
	Retained    *sql.Stmt `sql:"SELECT id FROM items WHERE ended > 0 AND ended < ? AND dead = 0 AND erased = 0 AND open = 0 ORDER BY ended LIMIT ?"`
	Finished    *sql.Stmt `sql:"SELECT mailbox, file, size, erased, forgotten FROM items WHERE id = ?1 AND route = 1 AND open = 0 AND dead = 0 AND NOT EXISTS (SELECT 1 FROM settlements WHERE item = ?1)"`
	Undeliver   *sql.Stmt `sql:"DELETE FROM deliveries WHERE item = ? RETURNING sink, part, id, state, due, attempts, line"`
	Attempts    *sql.Stmt `sql:"DELETE FROM attempts WHERE item = ?"`
	Forget      *sql.Stmt `sql:"DELETE FROM items WHERE id = ?"`
	Subject     *sql.Stmt `sql:"SELECT mailbox, route, open, dead, erased, size + extra, forgotten FROM items WHERE id = ?"`
	Unnote      *sql.Stmt `sql:"DELETE FROM notes WHERE (sink, key, delivery) IN (SELECT sink, key, delivery FROM notes WHERE until <= ? ORDER BY until LIMIT ?)"`
	Noted       *sql.Stmt `sql:"SELECT count(*), coalesce(min(until), 0) FROM (SELECT until FROM notes WHERE sink = ?1 AND key = ?2 AND delivery <> ?3 AND until > ?4 LIMIT ?5)"`
	Note        *sql.Stmt `sql:"INSERT INTO notes (sink, key, delivery, until) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET until = excluded.until WHERE until <= ?5"`
	FindDead    *sql.Stmt `sql:"SELECT item FROM deliveries WHERE state = 3 AND id = ?"`
	Find        *sql.Stmt `sql:"SELECT item FROM deliveries WHERE id = ? LIMIT 1"`
	OfItem      *sql.Stmt `sql:"SELECT sink, part, id, attempts, progress FROM deliveries WHERE item = ?1 AND state = ?2 AND (?3 = '' OR id = ?3)"`
	Requeue     *sql.Stmt `sql:"UPDATE deliveries SET state = 0, due = ?4, first = 0, line = 0 WHERE item = ?1 AND sink = ?2 AND part = ?3"`
	Reopen      *sql.Stmt `sql:"UPDATE items SET open = open + ?2, dead = dead - ?3, ended = 0, fate = ?4 WHERE id = ?1"`
	Withdraw    *sql.Stmt `sql:"DELETE FROM settlements WHERE item = ? AND failed = 1 RETURNING mailbox"`
	FateOf      *sql.Stmt `sql:"SELECT fate FROM items WHERE id = ?"`
	Reroute     *sql.Stmt `sql:"UPDATE items SET route = 0, reason = '', facts = NULL WHERE id = ?"`
	Drop        *sql.Stmt `sql:"DELETE FROM deliveries WHERE item = ? AND sink = ? AND part = ?"`
	DropTries   *sql.Stmt `sql:"DELETE FROM attempts WHERE item = ? AND sink = ? AND part = ?"`
	Dropped     *sql.Stmt `sql:"UPDATE items SET dead = dead - ?2, ended = CASE WHEN open = 0 THEN ?3 ELSE ended END WHERE id = ?1"`
	Blank       *sql.Stmt `sql:"UPDATE items SET route = 1, open = 0, dead = 0, ended = 0, flags = '', reason = '', facts = NULL, actions = '', extra = 0, forgotten = 1 WHERE id = ?"`
	Hold        *sql.Stmt `sql:"INSERT INTO holds (sink, probe, reason) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET probe = excluded.probe, reason = excluded.reason"`
	Resume      *sql.Stmt `sql:"DELETE FROM holds WHERE sink = ?"`
	Listed      *sql.Stmt `sql:"INSERT INTO mailboxes (name, listed) VALUES (?, ?) ON CONFLICT DO UPDATE SET listed = excluded.listed, error = ''"`
	NotListed   *sql.Stmt `sql:"INSERT INTO mailboxes (name, error) VALUES (?, ?) ON CONFLICT DO UPDATE SET error = excluded.error"`
	CountBox    *sql.Stmt `sql:"INSERT INTO mailboxes (name, taken, toroute, unrouted, quarantined, settlements, kept, loose, retained) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET taken = taken + excluded.taken, toroute = toroute + excluded.toroute, unrouted = unrouted + excluded.unrouted, quarantined = quarantined + excluded.quarantined, settlements = settlements + excluded.settlements, kept = kept + excluded.kept, loose = loose + excluded.loose, retained = retained + excluded.retained"`
	CountSink   *sql.Stmt `sql:"INSERT INTO sinks (name, pending, deferred, delivered, dead, behind) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET behind = behind + excluded.behind, pending = pending + excluded.pending, deferred = deferred + excluded.deferred, delivered = delivered + excluded.delivered, dead = dead + excluded.dead"`
	CountFeed   *sql.Stmt `sql:"INSERT INTO feeds (mailbox, sink, waiting) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET waiting = waiting + excluded.waiting"`
	Log         *sql.Stmt `sql:"PRAGMA wal_checkpoint(NOOP)"`
	Begin       *sql.Stmt `sql:"BEGIN IMMEDIATE"`
	Commit      *sql.Stmt `sql:"COMMIT"`
	Rollback    *sql.Stmt `sql:"ROLLBACK"`
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

func (st *statements) prepare(ctx context.Context, db *sql.Conn) error {
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
