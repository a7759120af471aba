package spool

import (
	"context"
	"io"
	"math"
	"time"
)

// Store keeps what must survive. Every method may be called at any time by several
// goroutines; one Commit or Maintain waits for the other. Errors are wrapped so
// that errors.Is finds ErrFenced where the disk can no longer be believed, and
// ErrFull where it is full.
//
// spooltest.Run is the conformance suite every Store passes.
type Store interface {
	// Commit carries the operations out, in order, in one transaction that is
	// durable when it returns nil. On an error nothing of the batch has happened.
	// An operation that asks for what cannot be (an unknown delivery) says so in its
	// own Err and leaves the others alone.
	Commit(ctx context.Context, ops []Op) error
	// Maintain does the store's housekeeping, a bounded piece at a time; the front
	// calls it after commits, when no caller waits.
	Maintain(ctx context.Context) error
	// Stage opens a file for a large mail.
	Stage() (Staging, error)

	// Item reads a mail with its octets; ErrUnknown where there is none.
	Item(ctx context.Context, id ID) (*Item, error)
	// Errand reads what the mail's delivery is to do; ErrUnknown where there is none.
	Errand(ctx context.Context, id ID, to To) (*Errand, error)
	// Unrouted reads mails that wait for routing, in the order of their ids, from
	// the first after the one given: at most limit, and no more after the first than
	// fit in octets.
	Unrouted(ctx context.Context, after ID, limit int, octets int64) ([]*Item, error)
	// Open lists open deliveries of the sink in the order of their keys, the first
	// at or after from; not those that are due Never.
	Open(ctx context.Context, sink string, from Key, limit int) ([]Ready, error)
	// Owed tells what one mail waits for; ErrUnknown where there is none.
	Owed(ctx context.Context, id ID) (Owed, error)
	// Backlog tells what all mail waits for.
	Backlog(ctx context.Context) (Backlog, error)
	// Box reads what is kept of a box; its zero value for one not seen yet.
	Box(ctx context.Context, box BoxKey) (Box, error)
	// Ledger reads known UIDs of the box in the order of their octets, from the
	// first after the one given.
	Ledger(ctx context.Context, box BoxKey, after string, limit int) ([]Known, error)
	// Headless reads UIDs of the box that have no mail, no head, and are not gone.
	Headless(ctx context.Context, box BoxKey, limit int) ([]string, error)
	// Settlements reads those of the mailbox due by then, oldest first.
	Settlements(ctx context.Context, mailbox string, by time.Time, limit int) ([]Settlement, error)
	// NextSettlement is when the mailbox's first settlement is due; zero without one.
	NextSettlement(ctx context.Context, mailbox string) (time.Time, error)
	// Holds are the held sinks.
	Holds(ctx context.Context) ([]Hold, error)
	// Status reads counts that are kept up with each commit, not counted.
	Status(ctx context.Context) (Status, error)
	// Usage reads what is kept, in the same way: a Charge for each mailbox and for
	// each sink it feeds.
	Usage(ctx context.Context) ([]Charge, error)
	// List reads mails that pass the filter, the last taken first. Limit is set.
	List(ctx context.Context, f Filter) (Page, error)
	// Show reads all there is of a mail; ErrUnknown where there is none.
	Show(ctx context.Context, t Target) (*Mail, error)
	// Close waits for calls that run and lets go of the store.
	Close() error
}

// Staging is a file being written. Sync makes its content durable and turns it
// into a File that can be read; Close without Sync removes it.
type Staging interface {
	io.Writer
	Sync() (File, error)
	Close() error
}

// Never is when a delivery is due that waits for an earlier one of its line.
var Never = time.Unix(0, math.MaxInt64).UTC()

// Key orders the open deliveries of one sink.
type Key struct {
	Due  time.Time
	Item ID
	Part string
}

// Less tells whether k comes before o.
func (k Key) Less(o Key) bool {
	if c := k.Due.Compare(o.Due); c != 0 {
		return c < 0
	}
	if k.Item != o.Item {
		return k.Item < o.Item
	}
	return k.Part < o.Part
}

// Ready is one open delivery as the store keeps it.
type Ready struct {
	Key
	Sink     string
	Delivery string
	Attempts int
	First    time.Time
	Progress string
}

// Owed is what a mail waits for.
type Owed struct {
	Unrouted   bool // it waits for routing
	Deliveries []Ready
}

// Backlog is what all mail waits for.
type Backlog struct {
	Unrouted bool                 // some mail waits for routing
	Sinks    map[string]time.Time // the first due time of each sink with open deliveries
}

// Box is what is kept of a box.
type Box struct {
	Cursor     string
	Baseline   bool
	Renumbered bool // mails under UIDs of an old numbering wait to be recognised
}

// Known is one row of the ledger.
type Known struct {
	UID  string
	Gone time.Time // since when complete listings lack it; zero while they do not
}

// Hold is a held sink.
type Hold struct {
	Sink    string
	ProbeAt time.Time
	Reason  string
}
