package sinks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/spool"
)

// facts is what was found at routing, kept in spool.Item.Facts where it is more than
// the time.
type facts struct {
	Timestamp time.Time         `json:"timestamp"`
	Failed    map[string]string `json:"failed,omitempty"` // by sink: why its condition could not be told
}

// errDefect is a panic over a mail: trying again cannot help.
var errDefect = errors.New("a defect")

// clip makes foreign text fit for a record.
func clip(s string) string {
	const most = 500
	if len(s) > most {
		s = s[:most] + "…"
	}
	return dial.Printable(s)
}

// keptText is how many octets of text a parsed mail may hold to be kept. The spool
// counts octets, not what is made of them, so one with more is parsed anew each
// time.
const keptText = 1 << 20

// largeMail is the size from which mails are parsed one at a time.
const largeMail = 4 << 20

// message is the parsed mail, parsed once for as long as the spool keeps the
// item in memory, unless it is a large one.
func (d *Dispatcher) message(i *spool.Item) (*parser.Message, error) {
	var large *parser.Message
	m, err := i.Memoize(func() (any, error) {
		m, err := d.parseItem(i)
		if err == nil && textIn(m) > keptText {
			large = m
			return nil, errors.New("not kept")
		}
		return m, err
	})
	switch {
	case large != nil:
		return large, nil
	case err != nil:
		return nil, err
	}
	return m.(*parser.Message), nil
}

// textIn is how many octets of text a message holds.
func textIn(m *parser.Message) (n int) {
	for _, s := range []*string{m.Text, m.HTML, m.HTMLSafe} {
		if s != nil {
			n += len(*s)
		}
	}
	if m.Reply != nil {
		n += len(m.Reply.Text) + len(m.Reply.Quoted)
	}
	return n
}

func (d *Dispatcher) parseItem(i *spool.Item) (m *parser.Message, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			m, err = nil, fmt.Errorf("%w in the parser: %v", errDefect, fault)
		}
	}()
	if i.Octets.Size() > largeMail {
		d.oneLarge.Lock()
		defer d.oneLarge.Unlock()
	}
	limits := d.Limits
	limits.AuthservIDs = append(slices.Clip(limits.AuthservIDs), d.Trusted[i.Mailbox]...)
	m, err = d.parse(i.Octets, i.Octets.Size(), limits)
	if err != nil {
		return nil, err
	}
	if !i.ReceivedAt.IsZero() {
		at := i.ReceivedAt.UTC()
		m.ReceivedAt = &at
	}
	return m, nil
}

// Again makes a delivery that was made before: what the sink got at its last
// attempt, for a command that gives it to another destination. i has the facts of
// its routing.
func (d *Dispatcher) Again(i *spool.Item, id, part string, attempt int) (*Delivery, error) {
	f, err := factsOf(i)
	if err != nil {
		return nil, err
	}
	return d.delivery(i, id, part, attempt, f)
}

// delivery makes what a sink gets.
func (d *Dispatcher) delivery(i *spool.Item, id, part string, attempt int, f facts) (*Delivery, error) {
	m, err := d.message(i)
	if errors.Is(err, errDefect) {
		return nil, Permanent(err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the mail from the store: %w", err)
	}
	return &Delivery{ID: id, Attempt: attempt, Timestamp: f.Timestamp, Origin: OriginOf(i), Part: part, Message: m, Octets: i.Octets}, nil
}

// factsOf reads the facts of an item's routing.
func factsOf(i *spool.Item) (f facts, err error) {
	if len(i.Facts) == 0 {
		return facts{Timestamp: timestamp(i)}, nil
	}
	if err := json.Unmarshal(i.Facts, &f); err != nil {
		return f, Permanent(fmt.Errorf("reading the facts of the routing: %w", err))
	}
	return f, nil
}

// routeAll is the loop of one router.
func (d *Dispatcher) routeAll(ctx, work context.Context) error {
	for ctx.Err() == nil {
		i, err := d.spool.Next(ctx)
		if err == nil {
			var routed bool
			if routed, err = d.route(ctx, work, i); !routed {
				d.spool.Return(i)
			}
		}
		if err != nil {
			if err := d.pause(ctx, "routing", err); err != nil {
				return err
			}
		}
	}
	return nil
}

// route decides and records where one mail goes. The item is held until the
// record stands, so it is tried until then. Where it is not recorded, another call
// of Next, or the next process, is to route it: ctx has ended, or a mail that it
// must not overtake came back, or the error is final.
func (d *Dispatcher) route(ctx, work context.Context, i *spool.Item) (routed bool, err error) {
	r, err := d.decide(ctx, i)
	for try := 1; err != nil; try++ {
		if errors.Is(err, errDefect) || try == readTries {
			r = spool.Routing{Quarantine: "the mail could not be read: " + clip(err.Error())}
			break
		}
		if err := d.pause(ctx, "reading a mail", err); err != nil || ctx.Err() != nil {
			return false, err
		}
		r, err = d.decide(ctx, i)
	}
	e := Event{Item: i.ID, Mailbox: i.Mailbox, Routing: &r}
	for {
		err := d.record(ctx, work, e.Item, r)
		switch {
		case err == nil:
			if r.Quarantine != "" {
				d.Logger.Error("mail quarantined", "item", e.Item, "mailbox", e.Mailbox, "reason", r.Quarantine)
			} else {
				d.Logger.Debug("mail routed", "item", e.Item, "mailbox", e.Mailbox, "deliveries", len(r.To))
			}
			d.observe(e)
			return true, nil
		case errors.Is(err, spool.ErrRouted), errors.Is(err, spool.ErrUnknown):
			return true, nil // another hand routed or erased it
		case errors.Is(err, spool.ErrBehind):
			return false, nil
		}
		if err := d.pause(ctx, "routing", err); err != nil || ctx.Err() != nil {
			return false, err
		}
	}
}

// record records a routing, in its turn where the mail goes to a sink in order.
func (d *Dispatcher) record(ctx, work context.Context, id spool.ID, r spool.Routing) error {
	if len(r.Order) > 0 {
		if err := d.spool.Turn(ctx, id); err != nil {
			return err
		}
	}
	failpoint.Hit("route.before")
	defer failpoint.Hit("route.after")
	return d.spool.RouteAhead(work, id, r)
}

// readTries is how often a mail is read for routing before it is quarantined.
const readTries = 3

// decide makes the routing of one mail. The error is that it could not be read.
func (d *Dispatcher) decide(ctx context.Context, i *spool.Item) (spool.Routing, error) {
	if err := d.parsing.Acquire(ctx, 1); err != nil {
		return spool.Routing{}, err
	}
	defer d.parsing.Release(1)
	routes, ok := d.routes[i.Mailbox]
	if !ok {
		return spool.Routing{Quarantine: fmt.Sprintf("mailbox %s is no longer configured, so the mail has no routes", i.Mailbox)}, nil
	}
	m, err := d.message(i)
	if err != nil {
		return spool.Routing{}, err
	}
	to, failed := Evaluate(routes, m, OriginOf(i))
	r := spool.Routing{To: Split(to, d.dest, m), Order: d.order(to, m)}
	if len(failed) > 0 {
		if r.Facts, err = json.Marshal(facts{Timestamp: timestamp(i), Failed: failed}); err != nil {
			return spool.Routing{}, fmt.Errorf("%w: its facts cannot be written: %w", errDefect, err)
		}
	}
	return r, nil
}

// timestamp is the event's time: when the mail was made durable, in whole seconds.
// It is nothing of the routing, so that a mail that is routed again after a crash
// makes the same event.
func timestamp(i *spool.Item) time.Time { return i.TakenAt.UTC().Truncate(time.Second) }

// order has the key of the line that the mail stands in at each sink that keeps
// one.
func (d *Dispatcher) order(to []string, m *parser.Message) map[string]string {
	var keys map[string]string
	for _, name := range to {
		order := d.dest[name].Order
		if order == "" {
			continue
		}
		if keys == nil {
			keys = map[string]string{}
		}
		keys[name] = string(order)
		if order == ByThread {
			keys[name] += " " + m.Thread.Key
		}
	}
	return keys
}
