package spool

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Errand is what one delivery is to do that its sink's configuration does not
// say: an answer asked for it (Outcome.Errands), or a command (Send). It is stored
// with the delivery from the same transaction on, and its Content is erased when
// the mail's octets are.
type Errand struct {
	Sink    string          `json:"-"`
	Verb    string          `json:"verb"`              // reply, forward, send
	Parent  string          `json:"parent,omitempty"`  // the delivery whose answer asked for it; empty for a command's
	Content json.RawMessage `json:"content,omitempty"` // at most MaxErrand octets; what is in it is between those who ask and the sink
}

// MaxErrand is how many octets an Errand's Content may have.
const MaxErrand = 1 << 20

// errandMark begins the Part of a delivery that has an Errand. No attachment's
// partId does.
const errandMark = "@"

// IsErrand tells the deliveries that have an Errand by their Part.
func (t To) IsErrand() bool { return strings.HasPrefix(t.Part, errandMark) }

// Asked tells, of those, the ones that an answer asked for.
func (t To) Asked() bool { return t.IsErrand() && strings.Contains(t.Part, ":") }

// ErrandTo is the delivery of an errand that the answer to parent asked for; the
// zero To stands for a command. A verb is carried out once for each parent, at
// whatever sink.
func ErrandTo(parent To, e Errand) To {
	part := errandMark + e.Verb
	for _, p := range []string{parent.Sink, parent.Part} {
		if p != "" {
			part += ":" + p
		}
	}
	return To{Sink: e.Sink, Part: part}
}

// ErrandID is the id of the delivery of an errand: made, as DeliveryID is, of the
// id of the delivery whose answer asked for it, and of the verb. So an answer that
// is given twice asks for one thing.
func ErrandID(parent, verb string) string {
	h := sha256.New()
	field(h, []byte("errand"))
	field(h, []byte(parent))
	field(h, []byte(verb))
	return "msg_" + strings.ToLower(idEncoding.EncodeToString(h.Sum(nil)[:20]))
}

func (e *Errand) check() error {
	switch {
	case e.Sink == "" || e.Verb == "":
		return errors.New("an errand needs a sink and a verb")
	case len(e.Content) > MaxErrand:
		return fmt.Errorf("the content of an errand has %d octets, and may have %d", len(e.Content), MaxErrand)
	case !json.Valid(e.Content):
		return errors.New("the content of an errand is no JSON")
	}
	return nil
}

// Local is the mailbox, and account, of mail that was given by a command and comes
// from no mailbox of the configuration, whose names have no brackets.
const Local = "(local)"

// LocalProtocol is the Protocol of such mail.
const LocalProtocol = "local"

// Send makes a mail that comes from no mailbox durable, with one delivery: what e
// says. It is there like a mail taken from a server, under Local, and has nothing
// to settle. uid makes it one mail however often it is given: its Message-ID.
// It is forgotten, once it is delivered, after 30 days of further sending.
func (s *Spool) Send(ctx context.Context, uid string, mail io.Reader, e Errand) (ID, error) {
	if err := e.check(); err != nil {
		return 0, fmt.Errorf("send a mail: %w", err)
	}
	octets, err := s.Stage(ctx, mail)
	if err != nil {
		return 0, fmt.Errorf("send a mail: %w", err)
	}
	box := BoxKey{Account: Local}
	id, err := s.Take(ctx, Taken{
		Mailbox: Local, Protocol: LocalProtocol, BoxKey: box, UID: uid, ReceivedAt: s.now(), Octets: octets,
		Policy: Policy{After: Action{Verb: Keep}, Failed: Action{Verb: Keep}}, Errand: &e,
	})
	if err != nil {
		return 0, err
	}
	// No server lists the box, so what is in it is gone at once, and forgotten in time.
	if _, _, err := s.Reconcile(ctx, box, nil, true, ""); err != nil {
		s.log.Warn("sent mail is kept longer than it has to be", "error", err)
	}
	return id, nil
}

// errandOf reads a claimed delivery's errand; nil where it has none. Needs mu,
// which is given up while the store is asked.
func (s *Spool) errandOf(ctx context.Context, d *delivery) (*Errand, error) {
	to := To{d.Sink, d.Part}
	if !to.IsErrand() {
		return nil, nil
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	return s.store.Errand(ctx, d.Item, to)
}
