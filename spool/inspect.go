package spool

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The states of a mail beside those of its deliveries. A mail with deliveries
// has the first that holds of: dead, held, deferred, pending, delivered.
const (
	ToRoute     State = "toRoute"     // it waits for routing
	Unrouted    State = "unrouted"    // no route matched
	Quarantined State = "quarantined" // set aside, for the reason shown
	Held        State = "held"        // it waits for a sink that is held
)

// States are those a Filter may name.
var States = []State{ToRoute, Unrouted, Quarantined, Pending, Deferred, Held, Delivered, Dead}

// Target names a mail, or one delivery of it: by Item, by Delivery, or by both.
type Target struct {
	Item     ID
	Delivery string // "msg_…"; empty for all of the mail's
}

// ParseTarget reads what commands are given: the number of a mail, or the id of a
// delivery.
func ParseTarget(s string) (Target, error) {
	if strings.HasPrefix(s, "msg_") {
		return Target{Delivery: s}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return Target{}, fmt.Errorf("%q is neither the number of a mail nor a delivery's msg_…", s)
	}
	return Target{Item: ID(n)}, nil
}

// String is the form ParseTarget reads.
func (t Target) String() string {
	if t.Delivery != "" {
		return t.Delivery
	}
	return strconv.FormatInt(int64(t.Item), 10)
}

// Filter selects mails; each zero value selects all.
type Filter struct {
	Mailbox string
	State   State // a mail in which some delivery is in that state, or the mail itself
	Sink    string
	Since   time.Time // taken then or later
	Limit   int       // 100 where it is 0; 1000 at most
	Cursor  string    // Page.Next of the page before; "" for the first
}

// Page is a part of a list, the mail taken last first.
type Page struct {
	Mails []Mail `json:"mails"` // without attempts and settlements
	Next  string `json:"next"`  // Filter.Cursor of the next page; "" after the last
}

// Mail is what the store knows of one mail, for the operator.
type Mail struct {
	ID          ID             `json:"id"`
	Mailbox     string         `json:"mailbox"`
	Protocol    string         `json:"protocol"`
	Account     string         `json:"account"`
	Box         string         `json:"box"`
	UID         string         `json:"uid"` // the one it has now
	ReceivedAt  *time.Time     `json:"receivedAt"`
	TakenAt     time.Time      `json:"takenAt"`
	Flags       []string       `json:"flags"` // when it was taken
	Size        int64          `json:"size"`
	SHA256      string         `json:"sha256"`  // of the octets, in hex
	Ordinal     int            `json:"ordinal"` // how many mails with these octets the account had before
	State       State          `json:"state"`
	Reason      string         `json:"reason"`             // of a quarantine
	Erased      bool           `json:"erased"`             // the octets are not stored any more
	TakenUID    string         `json:"takenUid,omitempty"` // the one it was taken under; by Show only
	Facts       []byte         `json:"facts,omitempty"`    // of its routing; by Show only
	Deliveries  []DeliveryInfo `json:"deliveries"`
	Settlements []Owing        `json:"settlements"` // owed to the server
}

// DeliveryInfo is one delivery of a mail.
type DeliveryInfo struct {
	ID       string        `json:"id"`
	Sink     string        `json:"sink"`
	Part     string        `json:"part"`
	State    State         `json:"state"`
	Due      *time.Time    `json:"due"`              // where it is pending or deferred, and not behind another
	Behind   ID            `json:"behind,omitempty"` // the earlier mail of its line that it waits for
	Held     string        `json:"held"`             // why the sink is held
	Tries    int           `json:"tries"`
	Errand   *Errand       `json:"errand,omitempty"` // what it is to do, where the sink's configuration does not say; the content by Show only
	Attempts []AttemptInfo `json:"attempts"`         // by Show only
}

// AttemptInfo is one attempt of a delivery.
type AttemptInfo struct {
	Number   int           `json:"number"` // from 1
	At       time.Time     `json:"at"`
	Duration time.Duration `json:"-"`     // "tookMs", in milliseconds
	State    State         `json:"state"` // what it left the delivery in
	Detail   string        `json:"detail"`
	Answer   string        `json:"answer"`
	Error    string        `json:"error"`
}

type attemptFields AttemptInfo

// attemptJSON is an AttemptInfo as others read it.
type attemptJSON struct {
	attemptFields
	Took float64 `json:"tookMs"`
}

// MarshalJSON implements json.Marshaler.
func (a AttemptInfo) MarshalJSON() ([]byte, error) {
	return json.Marshal(attemptJSON{attemptFields(a), float64(a.Duration) / float64(time.Millisecond)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *AttemptInfo) UnmarshalJSON(text []byte) error {
	var j attemptJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	*a = AttemptInfo(j.attemptFields)
	a.Duration = time.Duration(math.Round(j.Took * float64(time.Millisecond)))
	return nil
}

// Owing is a settlement that is owed to the server.
type Owing struct {
	Action   string    `json:"action"`
	Due      time.Time `json:"due"`
	Declined int       `json:"declined"` // how often the server has declined it
}

const (
	listLimit   = 100
	listLargest = 1000
)

// List reads the mails that pass the filter, a page at a time. Pages hold
// together while mail is taken: what is new comes before the first page.
func (s *Spool) List(ctx context.Context, f Filter) (Page, error) {
	if err := s.enter(ctx); err != nil {
		return Page{}, err
	}
	defer s.calls.Done()
	if f.Limit <= 0 {
		f.Limit = listLimit
	}
	f.Limit = min(f.Limit, listLargest)
	if f.Cursor != "" {
		if _, err := strconv.ParseInt(f.Cursor, 10, 64); err != nil {
			return Page{}, fmt.Errorf("list mails: %q is no cursor", f.Cursor)
		}
	}
	_ = s.catchUp(ctx) // where it fails they show as mail to route
	p, err := s.store.List(ctx, f)
	if err != nil {
		return Page{}, fmt.Errorf("list mails: %w", err)
	}
	return p, nil
}

// Show reads all there is of a mail, with every attempt of every delivery;
// ErrUnknown where there is none.
func (s *Spool) Show(ctx context.Context, t Target) (*Mail, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	_ = s.catchUp(ctx) // as in List
	m, err := s.store.Show(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("show %s: %w", t, err)
	}
	return m, nil
}

// Octets reads a mail's octets for a command; the caller closes them. ErrErased
// where they are not kept any more.
func (s *Spool) Octets(ctx context.Context, id ID) (*Octets, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	m, err := s.store.Show(ctx, Target{Item: id})
	if err == nil && m.Erased {
		err = ErrErased
	}
	var i *Item
	if err == nil {
		i, err = s.store.Item(ctx, id)
	}
	if err != nil {
		return nil, fmt.Errorf("read mail %d: %w", id, err)
	}
	return i.Octets, nil
}

// StateOf is the state of a mail with these deliveries.
func StateOf(deliveries []DeliveryInfo) State {
	worst := Delivered
	rank := map[State]int{Delivered: 0, Pending: 1, Deferred: 2, Held: 3, Dead: 4}
	for _, d := range deliveries {
		if rank[d.State] > rank[worst] {
			worst = d.State
		}
	}
	return worst
}
