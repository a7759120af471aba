package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// ID names one taken mail in one store. It is local to the store; what
// receivers see is the delivery's id, which survives the store.
type ID int64

// Verb is what a settlement does to a mail on its server.
type Verb string

// The verbs of a settlement.
const (
	Keep   Verb = "keep"   // leave the mail as it is
	Seen   Verb = "seen"   // IMAP: +FLAGS (\Seen)
	Delete Verb = "delete" // POP3: DELE; IMAP: \Deleted and UID EXPUNGE
	Move   Verb = "move"   // IMAP: MOVE to Arg, or COPY, STORE, UID EXPUNGE
	Flag   Verb = "flag"   // IMAP: +FLAGS (Arg)
)

// Action is a verb and, for move and flag, its argument: the box or the flag.
type Action struct {
	Verb Verb
	Arg  string
}

// ParseAction reads "keep", "seen", "delete", "move:BOX" or "flag:FLAG".
func ParseAction(s string) (Action, error) {
	verb, arg, has := strings.Cut(s, ":")
	a := Action{Verb(verb), arg}
	switch a.Verb {
	case Keep, Seen, Delete:
		if has {
			return Action{}, fmt.Errorf("%q takes no argument", verb)
		}
	case Move, Flag:
		if arg == "" {
			return Action{}, fmt.Errorf("%q needs an argument, as in %s:NAME", verb, verb)
		}
	default:
		return Action{}, fmt.Errorf("%q is not keep, seen, delete, move:… or flag:…", s)
	}
	return a, nil
}

// String is the form ParseAction reads.
func (a Action) String() string {
	if a.Arg == "" {
		return string(a.Verb)
	}
	return string(a.Verb) + ":" + a.Arg
}

// Policy is a mailbox's rule for what happens to a mail on its server. It is
// stored with each mail when it is taken, so an edit of the configuration
// changes the fate of mail taken from then on.
type Policy struct {
	After  Action        // once settled; Keep asks for nothing
	Delay  time.Duration // After waits this long once it is due (delete:30d)
	Taken  bool          // settle as soon as the mail is durable here, not when delivered
	Failed Action        // for a mail with a dead delivery; Keep asks for nothing
}

// BoxKey names one box of one account; the ledger of known mails is kept under
// it. Account is user@host, not the name in the configuration, so renaming a
// mailbox in the file takes nothing twice.
type BoxKey struct{ Account, Box string }

// Taken is a mail handed to the spool. Octets comes from Stage.
type Taken struct {
	Mailbox    string // its name in the configuration
	Protocol   string // "imap" or "pop3"
	BoxKey            // account and box
	UID        string // "UIDVALIDITY/UID" or the POP3 unique-id
	ReceivedAt time.Time
	Flags      []string
	Octets     *Octets
	Policy     Policy
	Errand     *Errand // of its one delivery, to which it is routed by being taken; nil: it is to be routed
}

// Settlement is one action owed to one mail on its server.
type Settlement struct {
	ID      int64
	Item    ID
	Mailbox string
	BoxKey
	UID      string
	Action   Action
	Declined int // how often the server has declined it
}

// Decline is a settlement that the server would not carry out.
type Decline struct {
	ID    int64
	Again time.Time // when it is due again
}

// To is one delivery a mail was routed to. Part is empty, or the attachment's
// partId where each attachment goes by itself.
type To struct{ Sink, Part string }

// Routing is the recorded result of routing one mail: final, so that a later
// edit of the configuration does not touch it. With no To the mail is unrouted:
// shown, not settled. With Quarantine it is set aside for the reason given,
// with its octets, and is not settled either.
type Routing struct {
	To         []To
	Quarantine string
	Facts      []byte // what was resolved once from outside the octets, kept as given; returned in Item.Facts
	// Order has the sinks, of those in To, that get this mail in order. Deliveries to
	// one sink, of one account's mails, under one key stand in a line: of the open ones
	// only the first can be claimed, and the next becomes due when it has ended.
	Order map[string]string
}

// State is where a delivery stands.
type State string

// The states of a delivery. A held delivery is a pending one whose sink is
// held; it is a view, not a stored state.
const (
	Pending   State = "pending"   // due now or not yet tried
	Deferred  State = "deferred"  // tried, and due again at Next
	Delivered State = "delivered" // the sink has taken responsibility
	Dead      State = "dead"      // given up; the mail and every attempt are kept
)

// Item is a mail in the spool. It is held, and its Octets may be read, from Next
// until Route of it returns nil, or Return, and from Due until Record or Release of the claim.
// Memo belongs to the giving half, which keeps the parsed message in it for as
// long as the spool keeps the item in memory; where several goroutines hold the
// item, Memoize guards it. ReceivedAt, TakenAt and UID are the same however
// often the item is read back; a UID renumbered by the server does not show here.
type Item struct {
	ID       ID
	Mailbox  string
	Protocol string
	BoxKey
	UID        string
	ReceivedAt time.Time
	TakenAt    time.Time
	Flags      []string
	SHA256     [32]byte
	Ordinal    int // how many mails with these same octets the account had before this one
	Octets     *Octets
	Facts      []byte
	Memo       any

	memo sync.Mutex
}

// Memoize returns Memo, and sets it to what make returns where it is nil; make
// runs once even if several holders ask at the same moment. After an error Memo
// stays nil.
func (i *Item) Memoize(make func() (any, error)) (any, error) {
	i.memo.Lock()
	defer i.memo.Unlock()
	if i.Memo != nil {
		return i.Memo, nil
	}
	m, err := make()
	if err != nil {
		return nil, err
	}
	i.Memo = m
	return m, nil
}

// Claim is one delivery handed to one worker. It stays claimed until Record or
// Release; a process that dies leaves nothing claimed.
type Claim struct {
	Delivery string // msg_…, constant over retries, re-takes and lost stores
	To
	Attempts int       // attempts already recorded
	First    time.Time // when the first attempt was recorded; zero before it
	Probe    bool      // the sink is held and this is its one probe
	Errand   *Errand   // nil: what the sink's configuration says
	Progress string    // what the last attempt left in Outcome.Progress
	Item     *Item
}

// Attempt is the record of one try, kept for the operator.
type Attempt struct {
	At       time.Time
	Duration time.Duration
	Detail   string // "202", "250 2.0.0 queued as 4F2A"; empty when there was no answer
	Answer   string // the first part of the answer, control octets escaped
	Error    string
}

// Outcome is what one attempt came to. State is Delivered, Deferred (with Next)
// or Dead.
type Outcome struct {
	Delivery string
	State    State
	Next     time.Time
	Attempt  Attempt
	// Progress is what the sink is told at the next attempt, in words of its own: which
	// recipients have the mail already, say. It is kept with a Deferred or Dead delivery
	// and survives Retry; at most MaxProgress octets.
	Progress string
	Actions  []Action // what the destination's answer asked for; overrides Policy.After
	// Errands are deliveries, of the same mail, that the answer of one Delivered asked
	// for. Each Verb is carried out once, however often it is asked for. Its Parent is
	// set here.
	Errands []Errand
}

// Errors every Store and the Spool give, to be tested with errors.Is.
var (
	ErrClosed = errors.New("the spool is closed")
	ErrLocked = errors.New("another postferry runs on this store")
	ErrNewer  = errors.New("the store was written by a newer postferry")
	// ErrForeign is for a file that is something else than a store.
	ErrForeign = errors.New("it is no store of postferry; give `store` another name, or restore it from a backup")
	ErrUnknown = errors.New("no such mail or delivery in the store")
	ErrRouted  = errors.New("the mail is routed already")
	ErrLarge   = errors.New("the mail is larger than the spool takes")
	// ErrBehind is for mail that is to be in order, while one before it is not routed.
	ErrBehind = errors.New("a mail taken before it is not routed yet")
	// ErrErased is for mail whose octets are in the store no more.
	ErrErased = errors.New("the mail's octets were erased")
	// ErrReadOnly is for changes asked of a store that was opened for reading.
	ErrReadOnly = errors.New("the store was opened for reading only")
	// ErrFull is temporary: nothing was stored and nothing lost, and the same call
	// succeeds once there is room. It is a *FullError where the quota says so, and
	// otherwise wraps what the disk said.
	ErrFull = errors.New("the store is full")
	// ErrFenced is the end of this process's use of the store: the disk failed to
	// make something durable, and what it says from then on cannot be believed.
	ErrFenced = errors.New("the store is fenced after a failed sync; check the disk, then restart postferry")
)

// API is the whole of what the rooms use of a *Spool; it exists to be read.
// *Spool implements it (asserted in spool.go).
//
// Taking half:
type API interface {
	// Stage reads one mail to its end: up to 256 KiB in memory, larger ones into
	// a file beside the store, synced. It fails if r fails, or on more than the
	// store's largest mail; then nothing is left behind. Octets not given to Take
	// must be closed.
	Stage(ctx context.Context, r interface{ Read([]byte) (int, error) }) (*Octets, error)
	// Take makes the mail durable (group commit) and known: when it returns nil a
	// power cut does not lose it. A UID already known is not taken twice: its ID is
	// returned; one that was only skipped is taken. Nor is a mail taken twice whose
	// box got a new UIDVALIDITY (or all new unique-ids): one with the octets of a
	// mail of the old numbering is that mail. Take owns m.Octets from the call on.
	Take(ctx context.Context, m Taken) (ID, error)
	// Begin is the first part of Take: mails are numbered, and so given by Next, in
	// the order of their Begins, whenever they become durable. wait is the rest of it,
	// with its result, and is to be called once.
	Begin(ctx context.Context, m Taken) (wait func() (ID, error))
	// Reconcile compares a listing with the ledger by ordered merge and returns
	// the UIDs not known yet, in the listing's order. first is true when the box was
	// never listed before (no baseline). A complete listing marks what it lacks as
	// gone since now; what was gone for 30 days of complete listings is forgotten, once
	// nothing of its mail is open any more.
	// cursor is stored for the next listing (see Cursor).
	Reconcile(ctx context.Context, box BoxKey, uids []string, complete bool, cursor string) (fresh []string, first bool, err error)
	// Renumbered tells whether mails of the box are waiting to be recognised: the
	// last listing to have anything in common with the ledger is past, and all UIDs
	// are new (UIDVALIDITY changed, or every unique-id).
	Renumbered(ctx context.Context, box BoxKey) (bool, error)
	// Recognise finds UIDs, not known yet, to be mails of a renumbered box by their
	// heads: each is known from then on, under its new UID, as it was under the old,
	// and is returned. A mail is found once; of mails alike each UID finds another.
	Recognise(ctx context.Context, box BoxKey, heads []Head) (known []string, err error)
	// Headless are UIDs of the box that were skipped, so that their octets were never
	// seen, and whose head is not known: at most limit.
	Headless(ctx context.Context, box BoxKey, limit int) ([]string, error)
	// Learn keeps the heads of skipped UIDs.
	Learn(ctx context.Context, box BoxKey, heads []Head) error
	// Cursor is what the last Reconcile of the box stored; "" before.
	Cursor(ctx context.Context, box BoxKey) (string, error)
	// Admit tells whether the mailbox's mail may be taken now: nil, or a *FullError
	// (ErrFull) where the mailbox feeds what fills the store. Take gives the same
	// error, so Admit only saves retrieving mail that would be refused.
	Admit(mailbox string) error
	// Skip makes UIDs known without taking them: the baseline of a first run.
	// It also records that the box has its baseline, even with no UIDs.
	Skip(ctx context.Context, box BoxKey, uids []string) error
	// Settlements are those of the mailbox that are due, oldest first, at most 1000.
	Settlements(ctx context.Context, mailbox string) ([]Settlement, error)
	// Settled records that the server has confirmed them.
	Settled(ctx context.Context, ids []int64) error
	// Declined counts that the server declined settlements, and puts off when they are
	// due: at once is behind all that are due now, so that they hide none of the others.
	Declined(ctx context.Context, declined []Decline) error
	// WaitSettlements returns nil as soon as the mailbox has a settlement due.
	WaitSettlements(ctx context.Context, mailbox string) error
	// Await returns nil once none of the items waits for routing or for a delivery
	// that is due now: each is delivered, dead, deferred, held, unrouted or quarantined.
	Await(ctx context.Context, items []ID) error
	// Bind says which mailbox of the configuration a box belongs to, for Status. A
	// Take does the same; Bind serves a box nothing was taken from yet.
	Bind(ctx context.Context, mailbox string, box BoxKey) error
	// Listed notes a verified listing of the mailbox (all its boxes), or the error
	// that prevented it, for Status.
	Listed(ctx context.Context, mailbox string, err error)

	// Giving half:

	// Next is the next mail to route, in the order taken, from the memory window
	// first. It blocks until there is one.
	Next(ctx context.Context) (*Item, error)
	// Turn returns nil as soon as a Route of the mail puts its deliveries in their
	// places: every mail of its account that was taken before it has been routed, or is
	// being recorded. It is for mails routed with an Order. ErrBehind says that one taken
	// before it waits in Next: give this one back (Return), and take that one.
	Turn(ctx context.Context, id ID) error
	// Route records the routing of an item and makes its deliveries claimable, in
	// one durable transaction. Those with an Order stand at the end of their lines;
	// that is ErrBehind, and nothing is recorded, while a mail of the account that was
	// taken before is not routed.
	Route(ctx context.Context, id ID, r Routing) error
	// RouteAhead is Route for a mail whose routing comes out the same whenever it is made
	// again: its deliveries are claimable at once, and it is recorded in the transaction
	// of the first outcome, or soon after by itself. Where neither came to be, the next
	// process routes the mail again. With an Order, with Quarantine or without To it is Route.
	RouteAhead(ctx context.Context, id ID, r Routing) error
	// Return gives a mail back that was had from Next and is not routed: Next gives it
	// again, before those taken after it.
	Return(i *Item)
	// Due claims the sink's next delivery that is due, in order of due time. It
	// blocks until there is one.
	Due(ctx context.Context, sink string) (*Claim, error)
	// Record ends a claim: the outcome, its attempt, the item's state and the
	// settlements that follow are committed together before it returns. When it
	// fails the claim stands: Record again, or Release.
	Record(ctx context.Context, id ID, o Outcome) error
	// Release gives a claim back untried (shutdown).
	Release(c *Claim)
	// Hold keeps every delivery of the sink waiting, undamaged, until Resume; from
	// probeAt on one claim is given as a probe. Kept in the store.
	Hold(ctx context.Context, sink string, probeAt time.Time, reason string) error
	// Resume lifts a hold; nil if there was none.
	Resume(ctx context.Context, sink string) error
	// Remember keeps notes of a delivery to the sink, all of them or, where one has no
	// place, none: then the Refusal says which. They are durable when it returns. A note
	// that the delivery has already stands as it is, so that every attempt may ask again. It is
	// for what must not be done too often (one acknowledgement to a sender in 7 days),
	// and is decided in one transaction, whoever else asks at the moment.
	Remember(ctx context.Context, sink, delivery string, notes ...Note) (*Refusal, error)
	// Drain returns nil once nothing is left that could be done before until:
	// no mail to route, no delivery due by then or now, none claimed. Deliveries of a sink
	// held beyond until do not count, so sinks that no longer exist are to be held.
	Drain(ctx context.Context, until time.Time) error

	// Both and the operator (inspect.go, requeue.go, forget.go, errand.go):
	Status(ctx context.Context) (Status, error)
	List(ctx context.Context, f Filter) (Page, error)
	Show(ctx context.Context, t Target) (*Mail, error)
	Octets(ctx context.Context, id ID) (*Octets, error)
	Retry(ctx context.Context, targets ...Target) (int, error)
	Replay(ctx context.Context, targets ...Target) (int, error)
	Drop(ctx context.Context, targets ...Target) (int, error)
	Forget(ctx context.Context, items ...ID) (int, error)
	ForgetAddress(ctx context.Context, address string) ([]ID, error)
	Send(ctx context.Context, uid string, mail io.Reader, e Errand) (ID, error)
	Close() error
}

// Status is what `postferry status` shows of the store.
type Status struct {
	Store     string          `json:"store"`     // what it is and where, no secrets
	Settings  []string        `json:"settings"`  // as read back: journal_mode=wal, synchronous=2 …
	Quota     int64           `json:"quota"`     // octets the store may keep; 0 is no limit
	Octets    int64           `json:"octets"`    // of mail not delivered in full
	Retained  int64           `json:"retained"`  // octets of delivered mail kept for replay
	Mailboxes []MailboxStatus `json:"mailboxes"` // by name
	Sinks     []SinkStatus    `json:"sinks"`     // by name
}

// MailboxStatus counts one mailbox's mails.
type MailboxStatus struct {
	Mailbox     string     `json:"mailbox"`
	Listed      *time.Time `json:"listed"`      // the last verified complete listing
	Error       string     `json:"error"`       // why the last poll failed; "" if it did not
	Known       int        `json:"known"`       // UIDs in the ledger
	Taken       int        `json:"taken"`       // mails in the spool
	ToRoute     int        `json:"toRoute"`     //
	Unrouted    int        `json:"unrouted"`    //
	Quarantined int        `json:"quarantined"` //
	Settlements int        `json:"settlements"` // owed to the server
	Declined    int        `json:"declined"`    // of them, those the server has declined
	Octets      int64      `json:"octets"`      // of mail not delivered in full
	Full        string     `json:"full"`        // why nothing is taken now; "" where it is
}

// SinkStatus counts one sink's deliveries.
type SinkStatus struct {
	Sink      string     `json:"sink"`
	Pending   int        `json:"pending"`
	Behind    int        `json:"behind"` // of those, waiting for an earlier mail of their line
	Deferred  int        `json:"deferred"`
	Delivered int        `json:"delivered"`
	Dead      int        `json:"dead"`
	Octets    int64      `json:"octets"`  // of mail it has not accepted
	Held      string     `json:"held"`    // the reason, "" if it is not held
	ProbeAt   *time.Time `json:"probeAt"` //
}
