package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"github.com/postferry/postferry/spool"
)

// names are the states of a delivery, in the order they are stored by.
var names = []spool.State{spool.Pending, spool.Deferred, spool.Delivered, spool.Dead}

const mailColumns = `i.id, i.mailbox, i.protocol, i.account, x.box, i.current, i.received, i.taken, i.flags, i.size, i.sha256, i.ordinal, i.route, i.reason, i.erased
	FROM items i JOIN boxes x ON x.id = i.box WHERE i.forgotten = 0`

// List implements spool.Store.
func (s *Store) List(ctx context.Context, f spool.Filter) (spool.Page, error) {
	where, args := condition(f)
	args = append(args, f.Limit+1)
	p := spool.Page{Mails: []spool.Mail{}}
	err := s.scanArgs(ctx, "SELECT "+mailColumns+where+" ORDER BY i.id DESC LIMIT ?", args, func(rows *sql.Rows) error {
		m, err := mail(rows)
		p.Mails = append(p.Mails, m)
		return err
	})
	if err != nil {
		return spool.Page{}, s.grade(err)
	}
	if len(p.Mails) > f.Limit {
		p.Mails = p.Mails[:f.Limit]
		p.Next = strconv.FormatInt(int64(p.Mails[f.Limit-1].ID), 10)
	}
	for i := range p.Mails {
		if err := s.deliveriesOf(ctx, &p.Mails[i]); err != nil {
			return spool.Page{}, s.grade(err)
		}
		for j := range p.Mails[i].Deliveries {
			if e := p.Mails[i].Deliveries[j].Errand; e != nil {
				e.Content = nil
			}
		}
	}
	return p, nil
}

// condition is the filter in SQL.
func condition(f spool.Filter) (string, []any) {
	var where strings.Builder
	var args []any
	and := func(sql string, arg ...any) {
		where.WriteString(" AND " + sql)
		args = append(args, arg...)
	}
	if f.Cursor != "" {
		before, _ := strconv.ParseInt(f.Cursor, 10, 64) // the front has read it
		and("i.id < ?", before)
	}
	if f.Mailbox != "" {
		and("i.mailbox = ?", f.Mailbox)
	}
	if !f.Since.IsZero() {
		and("i.taken >= ?", unix(f.Since))
	}
	state, held := "", false
	switch f.State {
	case "":
	case spool.ToRoute:
		and("i.route = 0")
	case spool.Unrouted:
		and("i.route = 2")
	case spool.Quarantined:
		and("i.route = 3")
	case spool.Held:
		and("i.open > 0")
		state, held = " AND d.state < 2 AND d.sink IN (SELECT sink FROM holds)", true
	case spool.Pending, spool.Deferred:
		and("i.open > 0")
		state = " AND d.state = " + strconv.Itoa(states[f.State])
	case spool.Dead:
		and("i.dead > 0")
		state = " AND d.state = 3"
	case spool.Delivered:
		state = " AND d.state = 2"
	default:
		and("0")
	}
	if state != "" && !held && f.State != spool.Dead && f.State != spool.Delivered {
		state += " AND d.sink NOT IN (SELECT sink FROM holds)"
	}
	switch {
	case f.Sink != "":
		and("EXISTS (SELECT 1 FROM deliveries d WHERE d.item = i.id AND d.sink = ?"+state+")", f.Sink)
	case state != "":
		and("EXISTS (SELECT 1 FROM deliveries d WHERE d.item = i.id" + state + ")")
	}
	return where.String(), args
}

func mail(rows *sql.Rows) (m spool.Mail, err error) {
	var received, taken int64
	var flags string
	var sum []byte
	var route int
	err = rows.Scan(&m.ID, &m.Mailbox, &m.Protocol, &m.Account, &m.Box, &m.UID, &received, &taken, &flags, &m.Size, &sum, &m.Ordinal, &route, &m.Reason, &m.Erased)
	m.ReceivedAt, m.TakenAt, m.Flags, m.SHA256 = moment(received), fromUnix(taken), splitFlags(flags), hex.EncodeToString(sum)
	if m.Flags == nil {
		m.Flags = []string{}
	}
	m.State = map[int]spool.State{unrouted: spool.ToRoute, unmatched: spool.Unrouted, quarantined: spool.Quarantined}[route]
	m.Deliveries, m.Settlements = []spool.DeliveryInfo{}, []spool.Owing{}
	return m, err
}

// deliveriesOf adds a mail's deliveries, and its state where they make it.
func (s *Store) deliveriesOf(ctx context.Context, m *spool.Mail) error {
	errands := false
	err := s.scanArgs(ctx, `SELECT d.id, d.sink, d.part, d.state, d.due, d.attempts, h.reason,
			CASE WHEN d.state < 2 AND d.due = ? THEN (SELECT f.item FROM deliveries f INDEXED BY deliveries_line WHERE f.sink = d.sink AND f.line = d.line AND f.state < 2 AND f.line <> 0 ORDER BY f.due LIMIT 1) ELSE 0 END
		FROM deliveries d LEFT JOIN holds h ON h.sink = d.sink WHERE d.item = ? ORDER BY d.sink, d.part`, []any{never, int64(m.ID)}, func(rows *sql.Rows) error {
		var d spool.DeliveryInfo
		var state int
		var due int64
		var held sql.NullString
		if err := rows.Scan(&d.ID, &d.Sink, &d.Part, &state, &due, &d.Tries, &held, &d.Behind); err != nil {
			return err
		}
		d.State, d.Attempts = names[state], []spool.AttemptInfo{}
		errands = errands || (spool.To{Sink: d.Sink, Part: d.Part}).IsErrand()
		if state < delivered {
			if due != never {
				d.Due = moment(due)
			}
			if held.Valid {
				d.State, d.Held = spool.Held, held.String
			}
		}
		m.Deliveries = append(m.Deliveries, d)
		return nil
	})
	if m.State == "" {
		m.State = spool.StateOf(m.Deliveries)
	}
	if err == nil && errands {
		err = s.errandsOf(ctx, m)
	}
	return err
}

// Show implements spool.Store.
func (s *Store) Show(ctx context.Context, t spool.Target) (*spool.Mail, error) {
	m, err := s.show(ctx, t)
	return m, s.grade(err)
}

func (s *Store) show(ctx context.Context, t spool.Target) (*spool.Mail, error) {
	if t.Item == 0 {
		err := s.reader.QueryRowContext(ctx, "SELECT item FROM deliveries WHERE id = ? LIMIT 1", t.Delivery).Scan(&t.Item)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, spool.ErrUnknown
		}
		if err != nil {
			return nil, err
		}
	}
	var m *spool.Mail
	err := s.scanArgs(ctx, "SELECT "+mailColumns+" AND i.id = ?", []any{int64(t.Item)}, func(rows *sql.Rows) error {
		one, err := mail(rows)
		m = &one
		return err
	})
	if err == nil && m == nil {
		err = spool.ErrUnknown
	}
	if err == nil {
		err = s.reader.QueryRowContext(ctx, "SELECT uid, facts FROM items WHERE id = ?", int64(m.ID)).Scan(&m.TakenUID, &m.Facts)
	}
	if err == nil {
		err = s.deliveriesOf(ctx, m)
	}
	if err == nil {
		err = s.attemptsOf(ctx, m)
	}
	if err == nil {
		err = s.scanArgs(ctx, "SELECT action, due, declined FROM settlements WHERE item = ? ORDER BY id", []any{int64(m.ID)}, func(rows *sql.Rows) error {
			var o spool.Owing
			var due int64
			err := rows.Scan(&o.Action, &due, &o.Declined)
			o.Due = fromUnix(due)
			m.Settlements = append(m.Settlements, o)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (s *Store) attemptsOf(ctx context.Context, m *spool.Mail) error {
	return s.scanArgs(ctx, "SELECT sink, part, n, at, duration, state, detail, answer, error FROM attempts WHERE item = ? ORDER BY sink, part, n", []any{int64(m.ID)}, func(rows *sql.Rows) error {
		var a spool.AttemptInfo
		var to spool.To
		var at int64
		var state int
		if err := rows.Scan(&to.Sink, &to.Part, &a.Number, &at, &a.Duration, &state, &a.Detail, &a.Answer, &a.Error); err != nil {
			return err
		}
		a.At, a.State = fromUnix(at), names[state]
		for i := range m.Deliveries {
			if d := &m.Deliveries[i]; d.Sink == to.Sink && d.Part == to.Part {
				d.Attempts = append(d.Attempts, a)
			}
		}
		return nil
	})
}
