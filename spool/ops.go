package spool

import "time"

// Op is one operation of a batch: a *TakeOp, *RouteOp, *RecordOp, *SettledOp,
// *LedgerOp, *BindOp, *HoldOp, *ListedOp or *PurgeOp. At is the time it happens
// at. The fields below "result" are set by Store.Commit.
type Op interface{ operation() }

// TakeOp stores a mail and makes its UID known. A large mail's file is given its
// lasting name before the transaction.
type TakeOp struct {
	Taken
	At time.Time

	// result
	ID      ID
	Known   bool // it is not new: ID is the mail's that is here already
	Ordinal int
	Settle  Due // the settlement that Policy.Taken created
}

// Due names a mailbox that has new settlements and when the first is due; the
// zero value says that there is none.
type Due struct {
	Mailbox string
	At      time.Time
}

// RouteOp records a routing; its deliveries are due at At. Deliveries has the id
// of each element of To.
type RouteOp struct {
	ID ID
	Routing
	Deliveries []string
	At         time.Time

	// result
	Err error // ErrUnknown, ErrRouted
}

// RecordOp records an attempt. Where it leaves the mail without an open delivery
// the settlements that follow are created, and, with Erase, the octets of a mail
// that was delivered in full are erased.
type RecordOp struct {
	ID ID
	To
	Outcome
	At    time.Time
	Erase bool

	// result
	Err    error // ErrUnknown: no such open delivery
	Settle Due
}

// SettledOp marks settlements as confirmed by the server; ids that are not owed
// are passed over.
type SettledOp struct {
	IDs []int64
	At  time.Time
}

// LedgerOp changes what is known of a box.
type LedgerOp struct {
	Box      BoxKey
	At       time.Time
	Skip     []string // made known without a mail
	Back     []string // listed again after they were gone
	Gone     []string // gone since At
	Forget   []string // forgotten, with their finished mails
	Baseline bool     // the box has its baseline from now on
	Cursor   *string  // stored unless nil
	Reset    bool     // a listing lacked every UID: what is gone since At was renumbered
}

// BindOp says which mailbox a box belongs to.
type BindOp struct {
	Mailbox string
	Box     BoxKey
}

// HoldOp holds a sink, or, with Resume, lifts its hold.
type HoldOp struct {
	Hold
	Resume bool
}

// ListedOp notes how the last listing of a mailbox went; Error is empty for a
// verified one.
type ListedOp struct {
	Mailbox string
	At      time.Time
	Error   string
}

// PurgeOp erases the octets of at most Limit mails that were delivered in full
// before Before.
type PurgeOp struct {
	Before time.Time
	Limit  int

	// result
	Erased int
}

func (*TakeOp) operation()    {}
func (*RouteOp) operation()   {}
func (*RecordOp) operation()  {}
func (*SettledOp) operation() {}
func (*LedgerOp) operation()  {}
func (*BindOp) operation()    {}
func (*HoldOp) operation()    {}
func (*ListedOp) operation()  {}
func (*PurgeOp) operation()   {}
