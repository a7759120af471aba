package compose

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	netmail "net/mail"
	"slices"
	"strings"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

// Composer makes the mails of one sink. It is safe for concurrent use.
type Composer struct {
	sink    string
	options Options
	own     []string
	*compiled
}

// New makes the composer of the sink of that name. own are the addresses of the
// mailboxes that mail is taken from, which get no answers. Its errors name the
// option to change (config.At).
func New(sink string, o Options, own []string) (*Composer, error) {
	if o.RepeatAfter == 0 {
		o.RepeatAfter = DefaultRepeatAfter
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	c, err := o.compile()
	if err != nil {
		return nil, err
	}
	return &Composer{sink: sink, options: o, own: own, compiled: c}, nil
}

// Recipients are the addresses the sink sends to whatever the mail says.
func (c *Composer) Recipients() []string {
	var all []string
	for _, l := range []addressList{c.to, c.cc, c.bcc} {
		for _, a := range l.fixed() {
			all = append(all, a.Email)
		}
	}
	return all
}

// Wish is what somebody, a webhook's answer say, wants sent in place of what the
// sink is configured with. What is empty is as configured, where the action is the
// sink's own, and else the action's default.
type Wish struct {
	Action      string // "" is the sink's
	Subject     string
	Text, HTML  string // HTML is sanitised; where either is set, both are
	To, CC, BCC []parser.Address
}

// Compose makes the mail for one delivery, and tells the store of it. The error is
// Withheld where an answer is not given; marked by sinks.Permanent where the mail
// makes it impossible; by sinks.SinkFault where the sink has sent too much.
func (c *Composer) Compose(ctx context.Context, d *sinks.Delivery, w *Wish) (*Mail, error) {
	draft, err := c.draft(d, w)
	if err != nil {
		return nil, err
	}
	m, err := draft.mail()
	if err != nil {
		return nil, err
	}
	if err := c.allow(ctx, d, draft.notes); err != nil {
		return nil, err
	}
	return m, nil
}

// draft is a mail being composed.
type draft struct {
	*Composer
	d      *sinks.Delivery
	m      *parser.Message
	w      Wish
	action string
	ours   bool // the action is the sink's own, so that its texts are meant for it

	from        parser.Address
	to, cc, bcc []parser.Address
	trace       header
	notes       *notes
}

func (c *Composer) draft(d *sinks.Delivery, w *Wish) (*draft, error) {
	x := &draft{Composer: c, d: d, m: d.Message}
	if w != nil {
		x.w = *w
	}
	x.action = cmp.Or(x.w.Action, c.options.Action)
	x.ours = x.action == c.options.Action
	if err := x.sender(); err != nil {
		return nil, err
	}
	own := c.traceOf(d, x.from.Email)
	if err := x.guard(own); err != nil {
		return nil, err
	}
	if err := x.recipients(); err != nil {
		return nil, err
	}
	x.trace = traces(x.m, own)
	x.notes = c.notesOf(x.action, x.to1(), subjectOf(x.m))
	return x, nil
}

// to1 is whom an answer is to.
func (x *draft) to1() string {
	if len(x.to) == 0 {
		return ""
	}
	return x.to[0].Email
}

// traceOf tells a mailbox and a sink from all others.
func (c *Composer) traceOf(d *sinks.Delivery, from string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(d.Origin.Address+"\n"+from) + "\n" + d.Origin.Name + "\n" + c.sink))
	return hex.EncodeToString(sum[:8])
}

func (x *draft) sender() error {
	list, err := x.Composer.from.of(x.d)
	if err != nil {
		return impossible("from", err)
	}
	if len(x.Composer.from.elements) == 0 {
		list = []parser.Address{{Email: x.d.Origin.Address}}
	}
	if len(list) != 1 {
		return impossible("from", fmt.Errorf("it is %d addresses and must be one", len(list)))
	}
	if x.from, err = cleaned(list[0]); err != nil {
		return impossible("from", fmt.Errorf("%w; set from in the sink", err))
	}
	return nil
}

// impossible marks what a mail makes impossible: trying again cannot help.
func impossible(key string, err error) error {
	return sinks.Permanent(fmt.Errorf("composing the mail: %s: %w", key, err))
}

// guard holds back what could feed a loop.
func (x *draft) guard(own string) error {
	why := circles(x.m, own)
	if !isAnswer(x.action) {
		if why != "" { // it was not passed on: it must not count as delivered
			return sinks.Permanent(errors.New("not sent, since it would go round in circles: " + why))
		}
		return nil
	}
	if why == "" && x.options.Guards != "loops" {
		why = unanswerable(x.m)
	}
	if domain := x.from.Email[strings.LastIndexByte(x.from.Email, '@')+1:]; why == "" && x.action == Acknowledge && acknowledged(x.m, domain) {
		why = "the mail answers an acknowledgement"
	}
	if why != "" {
		return withheld("%s", why)
	}
	return nil
}

// ownBoxes are the addresses that are ours.
func (x *draft) ownBoxes() map[string]bool {
	own := map[string]bool{sameBox(x.from.Email): true}
	for _, a := range append(x.own, x.d.Origin.Address) {
		if a != "" {
			own[sameBox(a)] = true
		}
	}
	return own
}

// recipients finds who gets the mail.
func (x *draft) recipients() error {
	if x.ours {
		for key, l := range map[string]struct {
			from addressList
			into *[]parser.Address
		}{"to": {x.Composer.to, &x.to}, "cc": {x.Composer.cc, &x.cc}, "bcc": {x.Composer.bcc, &x.bcc}} {
			list, err := l.from.of(x.d)
			if err != nil {
				return impossible(key, err)
			}
			*l.into = list
		}
	}
	for _, l := range []struct{ wished, into *[]parser.Address }{{&x.w.To, &x.to}, {&x.w.CC, &x.cc}, {&x.w.BCC, &x.bcc}} {
		if len(*l.wished) == 0 {
			continue
		}
		*l.into = nil
		for _, a := range *l.wished {
			a, err := cleaned(a)
			if err != nil {
				return impossible("an address that was asked for", err)
			}
			*l.into = append(*l.into, a)
		}
	}
	own := x.ownBoxes()
	if !isAnswer(x.action) {
		origin := sameBox(x.d.Origin.Address)
		for _, a := range slices.Concat(x.to, x.cc, x.bcc) {
			if x.d.Origin.Address != "" && sameBox(a.Email) == origin {
				return sinks.Permanent(fmt.Errorf("not sent, since it would go round in circles: %s is the mailbox the mail was taken from", a.Email))
			}
		}
		seen := map[string]bool{}
		x.to, x.cc, x.bcc = without(x.to, seen), without(x.cc, seen), without(x.bcc, seen)
		return nil
	}
	if len(x.to) == 0 {
		if err := x.answered(own); err != nil {
			return err
		}
	}
	seen := own
	x.to, x.cc, x.bcc = without(x.to, seen), without(x.cc, seen), without(x.bcc, seen)
	if len(x.to) == 0 && len(x.cc) == 0 {
		return withheld("it would go to an own address")
	}
	if n := len(x.to) + len(x.cc) + len(x.bcc); n > mostAnswered {
		return withheld("it would go to %d recipients, more than %d", n, mostAnswered)
	}
	return nil
}

// mostAnswered bounds a reply to all: a mail that names a thousand strangers is
// not to make one of our server's to each of them.
const mostAnswered = 50

// answered is whom an answer goes to. RFC 5322, section 3.6.3: Reply-To where
// there is one, else From. Mail-Followup-To says where a list wants answers to all.
// An acknowledgement goes to one address.
func (x *draft) answered(own map[string]bool) error {
	to := readable(x.m.ReplyTo)
	if len(to) == 0 {
		to = readable(x.m.From)
	}
	if len(to) == 0 {
		to = readable(x.m.Sender)
	}
	if len(to) == 0 {
		return withheld("the mail has no address to answer to")
	}
	switch x.action {
	case Acknowledge:
		x.to = to[:1]
	case Reply:
		x.to = to
	case ReplyAll:
		if follow := fieldAddresses(x.m, "Mail-Followup-To"); len(follow) > 0 {
			x.to = follow
			return nil
		}
		x.to = to
		x.cc = append(x.cc, slices.Concat(readable(x.m.To), readable(x.m.CC))...)
	}
	return nil
}

// fieldAddresses are the addresses of a field that the parser does not read.
func fieldAddresses(m *parser.Message, name string) []parser.Address {
	for _, h := range m.Headers {
		if !strings.EqualFold(h.Name, name) {
			continue
		}
		list, err := netmail.ParseAddressList(h.Value)
		if err != nil {
			return nil
		}
		var out []parser.Address
		for _, a := range list {
			out = append(out, parser.Address{Name: &a.Name, Email: a.Address})
		}
		return readable(out)
	}
	return nil
}

func subjectOf(m *parser.Message) string {
	if m.Subject == nil {
		return ""
	}
	return *m.Subject
}

// mail composes the draft.
func (x *draft) mail() (*Mail, error) {
	if x.action == Redirect {
		return x.redirected()
	}
	l := Letter{ID: x.d.ID, Date: x.d.Timestamp, From: x.from, To: x.to, CC: x.cc, BCC: x.bcc, ReversePath: x.envelope}
	if x.action == Acknowledge {
		l.ID += acknowledgementID
		if l.ReversePath == nil {
			l.ReversePath = new(string) // RFC 3834, section 3.3
		}
	}
	var err error
	if l.ReplyTo, err = x.replyTo.of(x.d); err != nil {
		return nil, impossible("reply_to", err)
	}
	if l.Subject, err = x.subject(); err != nil {
		return nil, impossible("subject", err)
	}
	if err := x.body(&l); err != nil {
		return nil, err
	}
	for _, h := range x.headers {
		value, err := h.text.Fill(x.d, oneLine)
		if err != nil {
			return nil, impossible("headers: "+h.name, err)
		}
		l.Headers = append(l.Headers, parser.Header{Name: h.name, Value: value})
	}
	if isAnswer(x.action) {
		l.fields.refer(x.m)
		l.fields.add("Auto-Submitted", "auto-replied") // RFC 3834, section 3.1.7
	} else {
		l.fields.add("Auto-Submitted", "auto-generated")
	}
	l.fields.fields = append(l.fields.fields, x.trace.fields...)
	m, err := l.Mail()
	if err != nil {
		return nil, sinks.Permanent(fmt.Errorf("composing the mail: %w", err))
	}
	return m, nil
}

func (x *draft) redirected() (*Mail, error) {
	r := redirect{id: x.d.ID, date: x.d.Timestamp, from: x.from, to: x.to, cc: x.cc, bcc: x.bcc, trace: header{}, octets: x.d.Octets, path: x.from.Email}
	r.trace.add(traceField, x.traceOf(x.d, x.from.Email)) // those before are in the mail
	if hasNullPath(x.m) {
		r.path = "" // a bounce stays one: RFC 5321, section 4.5.5
	}
	if x.envelope != nil {
		r.path = *x.envelope
	}
	m, err := r.mail()
	if err != nil {
		return nil, sinks.Permanent(fmt.Errorf("composing the mail: %w", err))
	}
	return m, nil
}

func hasNullPath(m *parser.Message) bool {
	return slices.ContainsFunc(m.Headers, func(h parser.Header) bool {
		return strings.EqualFold(h.Name, "Return-Path") && strings.Trim(h.Value, " ") == "<>"
	})
}

func (x *draft) subject() (string, error) {
	switch {
	case x.w.Subject != "":
		return x.w.Subject, nil
	case x.ours && x.Composer.subject != nil:
		return x.Composer.subject.Fill(x.d, nil)
	}
	switch s := subjectOf(x.m); x.action {
	case Acknowledge:
		return automaticSubject(s), nil
	case Forward:
		return forwardSubject(s), nil
	case Notify:
		return strings.TrimSpace("New mail: " + s), nil
	default:
		return replySubject(s), nil
	}
}

// fill is one of the sink's texts, where it has it.
func (x *draft) fill(key string, t *payload.Text, fill func(*payload.Text) (string, error)) (string, error) {
	if t == nil || !x.ours {
		return "", nil
	}
	s, err := fill(t)
	if err != nil {
		return "", impossible(key, err)
	}
	return s, nil
}
