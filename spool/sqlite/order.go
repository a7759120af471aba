package sqlite

import (
	"database/sql"
	"errors"
	"time"

	"github.com/postferry/postferry/spool"
)

// never is spool.Never as it is stored.
var never = unix(spool.Never)

// early tells that a mail taken before this one, which is to stand in a line, has
// no place in it yet.
func (b *batch) early(op *spool.RouteOp) (early bool, err error) {
	if len(op.Lines) > 0 {
		err = b.query(b.s.w.Earlier, int64(op.ID)).Scan(&early)
	}
	return early, err
}

// place is when a delivery that is routed is due, and the line it stands in.
func (b *batch) place(op *spool.RouteOp, i int) (due, line int64, err error) {
	due = unix(op.At)
	if len(op.Lines) == 0 || op.Lines[i] == 0 {
		return due, 0, nil
	}
	line = op.Lines[i]
	var waits bool
	if err := b.query(b.s.w.InLine, op.To[i].Sink, line).Scan(&waits); err != nil || !waits {
		return due, line, err
	}
	if op.Behind == nil {
		op.Behind = make([]bool, len(op.To))
	}
	op.Behind[i] = true
	b.tally(op.To[i].Sink, behind, 1)
	return never, line, nil
}

// advance makes the first delivery of a line due, unless one is, and adds it to
// freed. It is called whenever an open one has ended.
func (b *batch) advance(sink string, line int64, at time.Time, freed *[]spool.Ready) error {
	if line == 0 {
		return nil
	}
	r := spool.Ready{Sink: sink}
	var due int64
	err := b.query(b.s.w.First, sink, line).Scan(&r.Item, &r.Part, &r.Delivery, &due)
	if errors.Is(err, sql.ErrNoRows) || err == nil && due != never {
		return nil
	}
	if err != nil {
		return err
	}
	r.Due = at
	*freed = append(*freed, r)
	b.tally(sink, behind, -1)
	return b.exec(b.s.w.Promote, int64(r.Item), sink, r.Part, unix(at))
}
