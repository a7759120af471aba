package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/postferry/postferry/spool"
)

const itemColumns = `i.id, i.mailbox, i.protocol, i.account, x.box, i.uid, i.received, i.taken, i.flags, i.sha256, i.ordinal, i.size, i.file, i.facts, o.data
	FROM items i JOIN boxes x ON x.id = i.box LEFT JOIN octets o ON o.item = i.id`

// reads are the queries of giving, which every mail needs that is not in memory:
// prepared once on each connection that uses them.
type reads struct{ item, unrouted, open *sql.Stmt }

func (r *reads) prepare(ctx context.Context, db *sql.DB) error {
	for stmt, query := range map[**sql.Stmt]string{
		&r.item:     "SELECT " + itemColumns + " WHERE i.id = ?",
		&r.unrouted: "SELECT " + itemColumns + " WHERE i.route = 0 AND i.id > ? ORDER BY i.id LIMIT ?",
		&r.open: `SELECT item, part, id, due, attempts, first, progress FROM deliveries
			WHERE state < 2 AND sink = ? AND (due, item, part) >= (?, ?, ?) AND due < ? ORDER BY due, item, part LIMIT ?`,
	} {
		var err error
		if *stmt, err = db.PrepareContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// Item implements spool.Store.
func (s *Store) Item(ctx context.Context, id spool.ID) (*spool.Item, error) {
	items, err := s.items(ctx, 0, s.r.item, int64(id))
	if err == nil && len(items) == 0 {
		err = spool.ErrUnknown
	}
	if err != nil {
		return nil, s.grade(err)
	}
	return items[0], nil
}

// Unrouted implements spool.Store.
func (s *Store) Unrouted(ctx context.Context, after spool.ID, limit int, octets int64) ([]*spool.Item, error) {
	items, err := s.items(ctx, max(octets, 1), s.r.unrouted, int64(after), limit)
	return items, s.grade(err)
}

// items reads mails, no more after the first than fit in octets unless that is 0.
func (s *Store) items(ctx context.Context, octets int64, query *sql.Stmt, args ...any) (_ []*spool.Item, err error) {
	rows, err := query.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	limited := octets > 0
	var items []*spool.Item
	defer func() {
		if err != nil {
			for _, i := range items {
				_ = i.Octets.Close()
			}
		}
	}()
	for rows.Next() {
		i, err := s.item(rows)
		if err != nil {
			return items, err
		}
		if octets -= i.Octets.Size(); limited && octets < 0 && len(items) > 0 {
			_ = i.Octets.Close()
			break
		}
		items = append(items, i)
	}
	return items, rows.Err()
}

func (s *Store) item(rows *sql.Rows) (*spool.Item, error) {
	var (
		i                     spool.Item
		received, taken, size int64
		flags, name           string
		sum, facts            []byte
		data                  sql.RawBytes
	)
	err := rows.Scan(&i.ID, &i.Mailbox, &i.Protocol, &i.Account, &i.Box, &i.UID, &received, &taken, &flags, &sum, &i.Ordinal, &size, &name, &facts, &data)
	if err != nil {
		return nil, err
	}
	if len(sum) != len(i.SHA256) {
		return nil, errors.New("a mail's hash in the store has the wrong length")
	}
	i.SHA256 = [32]byte(sum)
	i.ReceivedAt, i.TakenAt, i.Flags, i.Facts = fromUnix(received), fromUnix(taken), splitFlags(flags), facts
	var f spool.File
	octets := slices.Clone(data)
	switch {
	case name != "":
		if f, err = s.openFile(name, size); err != nil {
			return nil, err
		}
	case sha256.Sum256(octets) != i.SHA256 || int64(len(octets)) != size:
		f = lost{errors.New("the octets in the store are not those of the mail, or were erased")}
	}
	i.Octets = spool.StoredOctets(size, i.SHA256, octets, f)
	return &i, nil
}

// Open implements spool.Store.
func (s *Store) Open(ctx context.Context, sink string, from spool.Key, limit int) ([]spool.Ready, error) {
	rows, err := s.r.open.QueryContext(ctx, sink, unix(from.Due), int64(from.Item), from.Part, never, limit)
	return s.readyRows(sink, rows, err)
}

func (s *Store) readyRows(sink string, rows *sql.Rows, err error) ([]spool.Ready, error) {
	if err != nil {
		return nil, s.grade(err)
	}
	defer rows.Close()
	var all []spool.Ready
	for rows.Next() {
		r := spool.Ready{Sink: sink}
		var due, first int64
		if err := rows.Scan(&r.Item, &r.Part, &r.Delivery, &due, &r.Attempts, &first, &r.Progress); err != nil {
			return nil, s.grade(err)
		}
		r.Due, r.First = fromUnix(due), fromUnix(first)
		all = append(all, r)
	}
	return all, s.grade(rows.Err())
}

// Owed implements spool.Store.
func (s *Store) Owed(ctx context.Context, id spool.ID) (spool.Owed, error) {
	var state int
	err := s.reader.QueryRowContext(ctx, "SELECT route FROM items WHERE id = ?", int64(id)).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return spool.Owed{}, spool.ErrUnknown
	}
	if err != nil {
		return spool.Owed{}, s.grade(err)
	}
	o := spool.Owed{Unrouted: state == unrouted}
	rows, err := s.reader.QueryContext(ctx, "SELECT sink, part, id, due, attempts, first, progress FROM deliveries WHERE item = ? AND state < 2", int64(id))
	if err != nil {
		return o, s.grade(err)
	}
	defer rows.Close()
	for rows.Next() {
		r := spool.Ready{Key: spool.Key{Item: id}}
		var due, first int64
		if err := rows.Scan(&r.Sink, &r.Part, &r.Delivery, &due, &r.Attempts, &first, &r.Progress); err != nil {
			return o, s.grade(err)
		}
		r.Due, r.First = fromUnix(due), fromUnix(first)
		o.Deliveries = append(o.Deliveries, r)
	}
	return o, s.grade(rows.Err())
}

// Backlog implements spool.Store.
func (s *Store) Backlog(ctx context.Context) (spool.Backlog, error) {
	b := spool.Backlog{Sinks: map[string]time.Time{}}
	if err := s.reader.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM items WHERE route = 0)").Scan(&b.Unrouted); err != nil {
		return b, s.grade(err)
	}
	rows, err := s.reader.QueryContext(ctx, `SELECT name, due FROM (SELECT name,
		(SELECT due FROM deliveries WHERE state < 2 AND sink = name ORDER BY due LIMIT 1) AS due FROM sinks) WHERE due IS NOT NULL`)
	if err != nil {
		return b, s.grade(err)
	}
	defer rows.Close()
	for rows.Next() {
		var sink string
		var due int64
		if err := rows.Scan(&sink, &due); err != nil {
			return b, s.grade(err)
		}
		b.Sinks[sink] = fromUnix(due)
	}
	return b, s.grade(rows.Err())
}

// Box implements spool.Store.
func (s *Store) Box(ctx context.Context, box spool.BoxKey) (spool.Box, error) {
	var b spool.Box
	err := s.reader.QueryRowContext(ctx, `SELECT cursor, baseline, EXISTS (SELECT 1 FROM ledger WHERE box = boxes.id AND renumbered = 1)
		FROM boxes WHERE account = ? AND box = ?`, box.Account, box.Box).Scan(&b.Cursor, &b.Baseline, &b.Renumbered)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return b, s.grade(err)
}

// Ledger implements spool.Store.
func (s *Store) Ledger(ctx context.Context, box spool.BoxKey, after string, limit int) ([]spool.Known, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT uid, gone FROM ledger
		WHERE box = (SELECT id FROM boxes WHERE account = ? AND box = ?) AND uid > ? ORDER BY uid LIMIT ?`, box.Account, box.Box, after, limit)
	if err != nil {
		return nil, s.grade(err)
	}
	defer rows.Close()
	var all []spool.Known
	for rows.Next() {
		var k spool.Known
		var gone int64
		if err := rows.Scan(&k.UID, &gone); err != nil {
			return nil, s.grade(err)
		}
		k.Gone = fromUnix(gone)
		all = append(all, k)
	}
	return all, s.grade(rows.Err())
}

// Headless implements spool.Store.
func (s *Store) Headless(ctx context.Context, box spool.BoxKey, limit int) ([]string, error) {
	var uids []string
	err := s.scanArgs(ctx, `SELECT uid FROM ledger WHERE box = (SELECT id FROM boxes WHERE account = ? AND box = ?)
		AND item IS NULL AND head = 0 AND gone = 0 LIMIT ?`, []any{box.Account, box.Box, limit}, func(rows *sql.Rows) error {
		var uid string
		err := rows.Scan(&uid)
		uids = append(uids, uid)
		return err
	})
	return uids, s.grade(err)
}

// Settlements implements spool.Store.
func (s *Store) Settlements(ctx context.Context, mailbox string, by time.Time, limit int) ([]spool.Settlement, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT s.id, s.item, s.action, s.declined, i.account, x.box, i.current
		FROM settlements s JOIN items i ON i.id = s.item JOIN boxes x ON x.id = i.box
		WHERE s.mailbox = ? AND s.due <= ? ORDER BY s.due, s.id LIMIT ?`, mailbox, unix(by), limit)
	if err != nil {
		return nil, s.grade(err)
	}
	defer rows.Close()
	var all []spool.Settlement
	for rows.Next() {
		m := spool.Settlement{Mailbox: mailbox}
		var action string
		if err := rows.Scan(&m.ID, &m.Item, &action, &m.Declined, &m.Account, &m.Box, &m.UID); err != nil {
			return nil, s.grade(err)
		}
		if m.Action, err = spool.ParseAction(action); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, s.grade(rows.Err())
}

// NextSettlement implements spool.Store.
func (s *Store) NextSettlement(ctx context.Context, mailbox string) (time.Time, error) {
	var due int64
	err := s.reader.QueryRowContext(ctx, "SELECT due FROM settlements WHERE mailbox = ? ORDER BY due LIMIT 1", mailbox).Scan(&due)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return fromUnix(due), s.grade(err)
}

// Holds implements spool.Store.
func (s *Store) Holds(ctx context.Context) ([]spool.Hold, error) {
	rows, err := s.reader.QueryContext(ctx, "SELECT sink, probe, reason FROM holds ORDER BY sink")
	if err != nil {
		return nil, s.grade(err)
	}
	defer rows.Close()
	var all []spool.Hold
	for rows.Next() {
		var h spool.Hold
		var probe int64
		if err := rows.Scan(&h.Sink, &probe, &h.Reason); err != nil {
			return nil, s.grade(err)
		}
		h.ProbeAt = fromUnix(probe)
		all = append(all, h)
	}
	return all, s.grade(rows.Err())
}

// Status implements spool.Store.
func (s *Store) Status(ctx context.Context) (spool.Status, error) {
	st := spool.Status{Store: "sqlite:" + s.path, Settings: slices.Clone(s.settings), Mailboxes: []spool.MailboxStatus{}, Sinks: []spool.SinkStatus{}}
	mailboxes := map[string]*spool.MailboxStatus{}
	err := s.scan(ctx, `SELECT name, listed, error, taken, toroute, unrouted, quarantined, settlements FROM mailboxes`, func(rows *sql.Rows) error {
		var m spool.MailboxStatus
		var listed int64
		err := rows.Scan(&m.Mailbox, &listed, &m.Error, &m.Taken, &m.ToRoute, &m.Unrouted, &m.Quarantined, &m.Settlements)
		m.Listed = moment(listed)
		mailboxes[m.Mailbox] = &m
		return err
	})
	if err == nil {
		err = s.scan(ctx, `SELECT mailbox, sum(known) FROM boxes WHERE mailbox <> '' GROUP BY mailbox`, func(rows *sql.Rows) error {
			var name string
			var known int
			err := rows.Scan(&name, &known)
			if mailboxes[name] == nil {
				mailboxes[name] = &spool.MailboxStatus{Mailbox: name}
			}
			mailboxes[name].Known = known
			return err
		})
	}
	if err == nil {
		err = s.scan(ctx, `SELECT mailbox, count(*) FROM settlements WHERE declined > 0 GROUP BY mailbox`, func(rows *sql.Rows) error {
			var name string
			var declined int
			err := rows.Scan(&name, &declined)
			if m := mailboxes[name]; m != nil {
				m.Declined = declined
			}
			return err
		})
	}
	if err == nil {
		err = s.scan(ctx, `SELECT coalesce(s.name, h.sink) AS sink, coalesce(s.pending, 0), coalesce(s.deferred, 0), coalesce(s.delivered, 0), coalesce(s.dead, 0), coalesce(s.behind, 0),
				coalesce(h.reason, ''), coalesce(h.probe, 0)
			FROM sinks s FULL JOIN holds h ON h.sink = s.name ORDER BY sink`, func(rows *sql.Rows) error {
			var k spool.SinkStatus
			var probe int64
			err := rows.Scan(&k.Sink, &k.Pending, &k.Deferred, &k.Delivered, &k.Dead, &k.Behind, &k.Held, &probe)
			k.ProbeAt = moment(probe)
			st.Sinks = append(st.Sinks, k)
			return err
		})
	}
	for _, m := range mailboxes {
		st.Mailboxes = append(st.Mailboxes, *m)
	}
	slices.SortFunc(st.Mailboxes, func(a, b spool.MailboxStatus) int { return strings.Compare(a.Mailbox, b.Mailbox) })
	return st, s.grade(err)
}

// Usage implements spool.Store.
func (s *Store) Usage(ctx context.Context) ([]spool.Charge, error) {
	var all []spool.Charge
	err := s.scan(ctx, "SELECT name, kept, loose, retained, '', 0 FROM mailboxes UNION ALL SELECT mailbox, 0, 0, 0, sink, waiting FROM feeds", func(rows *sql.Rows) error {
		var c spool.Charge
		err := rows.Scan(&c.Mailbox, &c.Kept, &c.Loose, &c.Retained, &c.Sink, &c.Waiting)
		all = append(all, c)
		return err
	})
	return all, s.grade(err)
}

func (s *Store) scan(ctx context.Context, query string, row func(*sql.Rows) error) error {
	return s.scanArgs(ctx, query, nil, row)
}

func (s *Store) scanArgs(ctx context.Context, query string, args []any, row func(*sql.Rows) error) error {
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func moment(n int64) *time.Time {
	if n == 0 {
		return nil
	}
	t := fromUnix(n)
	return &t
}
