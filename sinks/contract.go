package sinks

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/spool"
)

// Sink is one configured destination. Deliver is called by several goroutines
// at once, at most the sink's concurrency.
type Sink interface {
	// Deliver hands the mail over. nil means that the destination has taken
	// responsibility for it, as durably as it ever will. Errors are temporary
	// unless marked by Permanent, RetryAfter or SinkFault.
	Deliver(ctx context.Context, d *Delivery) (Receipt, error)
	// Close releases connections; no Deliver is running then.
	Close() error
}

// Delivery is one mail on its way to one sink, and the number of the try.
type Delivery struct {
	ID        string    // msg_…: the idempotency key, the same on every attempt
	Attempt   int       // from 1
	Timestamp time.Time // the event's: when the mail was made durable, the same on every attempt
	Origin    Origin
	Progress  string // what the last attempt left in AttemptError.Progress
	Part      string // the attachment's partId where each goes by itself, else ""
	Message   *parser.Message
	Octets    *spool.Octets // the mail itself, as the server held it

	// Remember is spool.Spool.Remember for this delivery: nil, nil means that the
	// store, durably, has the notes. It is nil where nothing is delivered (Preview).
	Remember func(ctx context.Context, notes ...spool.Note) (*spool.Refusal, error)
}

// Origin says where the mail was taken. JSON names are those of data.mailbox in
// the native event.
type Origin struct {
	Name        string   `json:"name"`
	Protocol    string   `json:"protocol"`
	Folder      *string  `json:"folder"`      // IMAP
	UIDValidity *uint32  `json:"uidValidity"` // IMAP
	UID         *uint32  `json:"uid"`         // IMAP
	UIDL        *string  `json:"uidl"`        // POP3 unique-id
	Flags       []string `json:"flags"`       // never null

	Address string `json:"-"` // the mailbox's own, where its user name is one; else ""
}

// Receipt is the destination's acknowledgement.
type Receipt struct {
	Detail  string         // "202", "250 2.0.0 queued as 4F2A"
	Answer  string         // the first part of the answer, as text
	Actions []spool.Action // what the answer asked for
	Errands []spool.Errand // what it asked other sinks for, each Verb at most once
}

// Errander is a sink that can be asked for more than it is configured for: by an
// answer (Receipt.Errands) or a command.
type Errander interface {
	// Errand does with the mail what e says, in place of what the sink is configured
	// for. Otherwise it is as Deliver. A Verb that it does not know is Permanent.
	Errand(ctx context.Context, d *Delivery, e *spool.Errand) (Receipt, error)
}

// Previewer can show what it would send.
type Previewer interface {
	Preview(d *Delivery) (Request, error)
}

// Request is what a sink would send.
type Request struct {
	Method string
	URL    string // secrets masked
	Header http.Header
	Body   []byte
}

// Checker can look at its destination without delivering.
type Checker interface {
	Check(ctx context.Context) []Finding
}

// Finding is one step of a check.
type Finding struct {
	Step string // "DNS", "TLS" …
	OK   bool
	Said string // what was seen
	Fix  string // what to change; empty when OK
}

// AttemptError carries the answer that came with a failure, for the record.
type AttemptError struct {
	Detail string // "503"
	Answer string // the first part of the answer
	// Progress is given to the next attempt (Delivery.Progress): what need not be done
	// again. It is kept when the delivery dies, for whoever tries it once more.
	Progress string
	Err      error
}

// Error implements error.
func (e *AttemptError) Error() string { return e.Err.Error() }

// Unwrap gives the wrapped error.
func (e *AttemptError) Unwrap() error { return e.Err }

type permanent struct{ error }
type retryAfter struct {
	error
	d time.Duration
}
type sinkFault struct{ error }

func (e permanent) Unwrap() error  { return e.error }
func (e retryAfter) Unwrap() error { return e.error }
func (e sinkFault) Unwrap() error  { return e.error }

// Permanent marks err: trying again cannot help; the delivery becomes a dead letter.
func Permanent(err error) error { return permanent{err} }

// RetryAfter marks err: the next try comes no sooner than d from now.
func RetryAfter(d time.Duration, err error) error { return retryAfter{err, d} }

// SinkFault marks err: the destination is at fault, not the mail; the sink is held.
func SinkFault(err error) error { return sinkFault{err} }

// IsPermanent reports the mark of Permanent.
func IsPermanent(err error) bool { var p permanent; return errors.As(err, &p) }

// IsSinkFault reports the mark of SinkFault.
func IsSinkFault(err error) bool { var s sinkFault; return errors.As(err, &s) }

// RetryAfterOf is the wait asked for by RetryAfter, and whether there was one.
func RetryAfterOf(err error) (time.Duration, bool) {
	var r retryAfter
	if errors.As(err, &r) {
		return r.d, true
	}
	return 0, false
}
