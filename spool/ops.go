package spool

import "time"

// Op is one operation of a batch: a *TakeOp, *RouteOp, *RecordOp, *SettledOp,
// *DeclinedOp, *LedgerOp, *RecogniseOp, *BindOp, *HoldOp, *ListedOp, *PurgeOp,
// *RequeueOp, *DropOp, *ForgetOp or *RememberOp. At is the time it happens at. The fields below
// "result" are set by Store.Commit.
type Op interface{ operation() }

// TakeOp stores a mail and makes its UID known. A large mail's file is given its
// lasting name before the transaction. One with an Errand is routed by it: to its
// sink, under ErrandTo without a parent.
type TakeOp struct {
	Taken
	Head int64 // HeadSum of the mail
	At   time.Time

	// result
	ID      ID
	Known   bool // it is not new: ID is the mail's that is here already
	Ordinal int
	Settle  Due     // the settlement that Policy.Taken created
	Made    []Ready // the delivery of its Errand
	Charged
}

// Charge is a change of the octets that are kept of a mailbox's mail.
type Charge struct {
	Mailbox  string
	Kept     int64  // of mail not delivered in full
	Loose    int64  // of those, of mail no sink has: not routed yet, unrouted, quarantined
	Retained int64  // of mail delivered in full
	Sink     string // whose Waiting it is
	Waiting  int64  // of mail the sink has not accepted
}

// Charged is the part of a result that tells how an operation changed what is
// kept.
type Charged struct{ Charges []Charge }

// Charging is c itself: what a Store finds in an operation by asking for an
// interface{ Charging() *Charged }.
func (c *Charged) Charging() *Charged { return c }

// Due names a mailbox that has new settlements and when the first is due; the
// zero value says that there is none.
type Due struct {
	Mailbox string
	At      time.Time
}

// RouteOp records a routing; its deliveries are due at At. Deliveries has the id
// of each element of To, and Lines the line it stands in at its sink, 0 for none;
// without an Order Lines is empty. Where an open delivery of the line is there
// already the new one is due Never. So one of a line's open deliveries is due, and
// when it ends, in whatever way, the first of the others, by mail and part, is due
// from that transaction on.
type RouteOp struct {
	ID ID
	Routing
	Deliveries []string
	Lines      []int64
	At         time.Time

	// result
	Err    error  // ErrUnknown, ErrRouted; with Lines ErrBehind: an earlier mail of the account waits for routing
	Behind []bool // of each element of To: it is due Never; empty where none is
	Charged
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
	Route *RouteOp // the mail's routing, without Lines, which is recorded first unless it is already; nil: it is

	// result
	Err    error // ErrUnknown: no such open delivery
	Settle Due
	Freed  []Ready // the next of its line, due from now on
	Made   []Ready // of Errands, those that were not there, under ErrandTo and ErrandID; due now
	Charged
}

// SettledOp marks settlements as confirmed by the server; ids that are not owed
// are passed over. The UID of a mail that was deleted or moved is gone since At.
type SettledOp struct {
	IDs []int64
	At  time.Time

	// result
	Gone []Place
}

// Place is where a ledger has a UID.
type Place struct {
	BoxKey
	UID string
}

// DeclinedOp counts that settlements were declined and makes them due later; those
// that are not owed are passed over.
type DeclinedOp struct {
	Declined []Decline
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
	Reset    bool     // a listing lacked every UID: those gone were renumbered
	Heads    []Head   // of UIDs without a mail

	// result
	Charged
}

// RecogniseOp gives each mail of a renumbered box that has one of the heads its
// new UID. A UID that is known already is passed over.
type RecogniseOp struct {
	Box   BoxKey
	At    time.Time
	Heads []Head

	// result
	Known []string // the UIDs that found their mail
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
// before Before, those first that were delivered first.
type PurgeOp struct {
	Before time.Time
	Limit  int

	// result
	Erased int
	Charged
}

// RequeueOp makes ended deliveries pending again, due at At and in no line, with
// the ids they have: of each target the dead ones, or, with Delivered, those delivered. With
// Delivered a mail that is unrouted or quarantined waits for routing again, and what
// an answer asked for (To.Asked) is due again only where the target names it. A
// settlement that a dead delivery left and that was not carried out is withdrawn.
// A mail's settlement for having been delivered is never created twice.
type RequeueOp struct {
	Targets   []Target
	Delivered bool
	At        time.Time

	// result
	Ready    []Ready
	Rerouted []ID
	Errs     []error // of each target: nil, ErrUnknown, ErrErased
	Charged
}

// DropOp removes the targets' dead deliveries. A mail that is left with none
// open is kept from then on as a delivered one is; no settlement follows.
type DropOp struct {
	Targets []Target
	At      time.Time

	// result
	Dropped int
	Errs    []error // of each target: nil, ErrUnknown
	Charged
}

// ForgetOp erases the mails' octets and every row that holds something of their
// content. Their UIDs stay known, and settlements already owed stay owed.
type ForgetOp struct {
	Items []ID
	At    time.Time

	// result
	Forgotten []ID
	Ended     []Ready // deliveries that were open
	Freed     []Ready // the next of their lines, due from now on; some may be in Ended too
	Charged
}

// RememberOp keeps the notes of a delivery, all or none. What has expired at At is
// not counted, and some of it, more than is added, is removed.
type RememberOp struct {
	Sink     string
	Delivery string
	Notes    []Note
	At       time.Time

	// result
	Refused *Refusal // nil: all are kept
}

func (*TakeOp) operation()      {}
func (*RouteOp) operation()     {}
func (*RecordOp) operation()    {}
func (*SettledOp) operation()   {}
func (*DeclinedOp) operation()  {}
func (*LedgerOp) operation()    {}
func (*RecogniseOp) operation() {}
func (*BindOp) operation()      {}
func (*HoldOp) operation()      {}
func (*ListedOp) operation()    {}
func (*PurgeOp) operation()     {}
func (*RequeueOp) operation()   {}
func (*DropOp) operation()      {}
func (*ForgetOp) operation()    {}
func (*RememberOp) operation()  {}
