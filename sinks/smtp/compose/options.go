package compose

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/sinks/payload"
)

// The actions.
const (
	Reply       = "reply"
	ReplyAll    = "reply-all"
	Forward     = "forward"
	Redirect    = "redirect"
	Acknowledge = "acknowledge"
	Notify      = "notify"
)

// Options are the keys of a sink of type smtp that say what is sent.
type Options struct {
	Action   string            `config:"action,required" enum:"reply,reply-all,forward,redirect,acknowledge,notify" doc:"What is sent of each mail: reply, reply-all, forward (a new mail with this one in it), redirect (the mail itself, with Resent- fields), acknowledge (an automatic answer, once per sender), notify (a new mail about this one); docs/smtp-actions.md."`
	From     string            `config:"from" doc:"Who sends it, as in Support <support@example.com>. May have holes. Without it, the mailbox's user name where that is an address."`
	To       []string          `config:"to" doc:"Who gets it; required with forward, redirect and notify, and in place of the mail's sender with the others. May have holes; one that is a whole text is a list of addresses: {{ message.replyTo }}."`
	CC       []string          `config:"cc" doc:"Who gets a copy, as to."`
	BCC      []string          `config:"bcc" doc:"Who gets it without being named, as to."`
	ReplyTo  []string          `config:"reply_to" doc:"Where answers to it go (Reply-To), as to."`
	Subject  string            `config:"subject" doc:"Its subject, which may have holes. Without it, Re: or Fwd: and the mail's own."`
	Text     string            `config:"text,raw" doc:"What it says, as plain text with holes (docs/templates.md)."`
	HTML     string            `config:"html,raw" doc:"The same as HTML with holes; what a mail says shows as text unless it is safeHTML(…). With html alone, the plain text is made of it."`
	Quote    *bool             `config:"quote" doc:"Whether an answer quotes the mail below its text: true for reply and reply-all, false for acknowledge unless set."`
	Intro    string            `config:"attribution,raw" doc:"The line above a quote, with holes."`
	Attach   string            `config:"attach" enum:"none,all,original" doc:"What goes along: none, all (the mail's attachments), original (the mail as a whole, message/rfc822). Without it, all for forward and none for the others. With forward, original says that the mail is only attached."`
	Headers  map[string]string `config:"headers" doc:"Further header fields, which may have holes; one that comes out empty is left out."`
	Envelope string            `config:"envelope_from" doc:"The reverse-path, where bounces go; <> is the null one. Without it, the address of from, and the null one for acknowledge, and for a mail redirected that had it."`

	Guards      string        `config:"guards" enum:"all,loops" doc:"all: no answer to what nobody typed, to lists, bulk mail, no-reply addresses and own addresses (RFC 3834, RFC 5230). loops: such mail is answered too; what keeps mail from going round in circles stays."`
	RepeatAfter time.Duration `config:"repeat_after" doc:"acknowledge: after how long the same sender is answered again."`
	Limits      Limits        `config:"limits" doc:"How much is sent at most."`
}

// Limits bound what a sink sends.
type Limits struct {
	PerSender config.Rate `config:"per_sender" doc:"Answers to one sender; what is more is not answered. Without it, 5/h for reply and reply-all."`
	InAll     config.Rate `config:"in_all" doc:"Mails of the sink in all. One more holds the sink, which status shows: no mail is lost, and it goes on after the time. Without it, 100/h for answers and none for the others."`
}

// Defaults of Options.
const (
	DefaultRepeatAfter = 7 * 24 * time.Hour // RFC 5230, section 4.1
	longestRepeatAfter = 90 * 24 * time.Hour
)

var (
	defaultPerSender = config.Rate{Count: 5, Per: time.Hour}
	defaultInAll     = config.Rate{Count: 100, Per: time.Hour}
)

// mostCounted bounds what is remembered of one sink.
const mostCounted = 10_000

// SetDefaults sets what holds when the file says nothing.
func (o *Options) SetDefaults() { o.Guards, o.RepeatAfter = "all", DefaultRepeatAfter }

// Validate compiles all there is to compile, so that a mistake is found when the
// configuration is loaded.
func (o *Options) Validate() error {
	_, err := New("", *o, nil)
	return err
}

// isAnswer tells the actions that go to the sender of the mail.
func isAnswer(action string) bool {
	return action == Reply || action == ReplyAll || action == Acknowledge
}

// check tells what does not go together. Its errors name the key.
func (o *Options) check() error {
	at := func(key, format string, args ...any) error { return config.At(key, fmt.Errorf(format, args...)) }
	switch {
	case !slices.Contains([]string{Reply, ReplyAll, Forward, Redirect, Acknowledge, Notify}, o.Action):
		return at("action", "%q is not reply, reply-all, forward, redirect, acknowledge or notify", o.Action)
	case !isAnswer(o.Action) && len(o.To)+len(o.CC)+len(o.BCC) == 0:
		return at("to", "action: %s needs to: who is to get it?", o.Action)
	case o.RepeatAfter < 24*time.Hour || o.RepeatAfter > longestRepeatAfter: // RFC 5230, section 4.1
		return at("repeat_after", "%s is not between 1d and 90d", config.FormatDuration(o.RepeatAfter))
	case o.Quote != nil && *o.Quote && !isAnswer(o.Action):
		return at("quote", "goes with reply, reply-all and acknowledge; action: forward has the mail in it anyway")
	}
	if o.Action == Redirect {
		for key, set := range map[string]bool{"subject": o.Subject != "", "text": o.Text != "", "html": o.HTML != "", "attach": o.Attach != "", "headers": len(o.Headers) > 0, "reply_to": len(o.ReplyTo) > 0} {
			if set {
				return at(key, "does not go with action: redirect, which sends the mail as it is; use forward")
			}
		}
	}
	for key, r := range map[string]config.Rate{"per_sender": o.Limits.PerSender, "in_all": o.Limits.InAll} {
		if r.Count > mostCounted || r.Per > longestRepeatAfter {
			return at("limits", "%s: %s is more than %d, or longer than 90d", key, r, mostCounted)
		}
	}
	return nil
}

// Complete tells whether the sink can send something for a mail that is routed to
// it from the mailbox of that address ("" where its user name is none), and not only
// what a webhook's answer asks for.
func (o *Options) Complete(mailbox string) error {
	if o.From == "" && mailbox == "" {
		return config.At("from", errors.New("the key is required: the mailbox's user name is no address that mail can be from"))
	}
	if (o.Action == Reply || o.Action == ReplyAll) && o.Text == "" && o.HTML == "" {
		return config.At("action", errors.New("a reply says nothing: set text or html"))
	}
	return nil
}

// compiled are the texts of Options.
type compiled struct {
	from                 addressList
	to, cc, bcc, replyTo addressList
	subject, text, intro *payload.Text // nil: none
	html                 *payload.Text
	headers              []namedText
	envelope             *string // nil: not set
}

type namedText struct {
	name string
	text *payload.Text
}

// defaultIntro introduces a quote as most clients do, so that they, and
// message.reply, find where it begins.
const defaultIntro = `{{ message.sentAt != nil ? "On " + formatDate(message.sentAt, "Mon, 2 Jan 2006 at 15:04", "") + ", " : "" }}{{ addresses(message.from) }} wrote:`

func (o *Options) compile() (*compiled, error) {
	c := &compiled{}
	var err error
	for key, l := range map[string]struct {
		texts []string
		into  *addressList
	}{"to": {o.To, &c.to}, "cc": {o.CC, &c.cc}, "bcc": {o.BCC, &c.bcc}, "reply_to": {o.ReplyTo, &c.replyTo}, "from": {some(o.From), &c.from}} {
		if *l.into, err = compileAddresses(l.texts); err != nil {
			return nil, config.At(key, err)
		}
	}
	if n := len(c.from.elements); n == 1 && len(c.from.elements[0].shape) > 1 {
		return nil, config.At("from", errors.New("wants one address"))
	}
	if o.Intro == "" {
		o.Intro = defaultIntro
	}
	for key, t := range map[string]struct {
		source  string
		into    **payload.Text
		compile func(string) (*payload.Text, error)
	}{"subject": {o.Subject, &c.subject, payload.CompileText}, "text": {o.Text, &c.text, payload.CompileText}, "attribution": {o.Intro, &c.intro, payload.CompileText}, "html": {o.HTML, &c.html, payload.CompileHTML}} {
		if t.source == "" {
			continue
		}
		if *t.into, err = t.compile(t.source); err != nil {
			return nil, config.At(key, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		if err := Settable(name); err != nil {
			return nil, config.At("headers", err)
		}
		text, err := payload.CompileText(o.Headers[name])
		if err != nil {
			return nil, config.At("headers", fmt.Errorf("%s: %w", name, err))
		}
		c.headers = append(c.headers, namedText{name, text})
	}
	switch o.Envelope {
	case "":
	case "<>":
		c.envelope = new(string)
	default:
		path, err := cleanAddress(o.Envelope)
		if err != nil {
			return nil, config.At("envelope_from", err)
		}
		c.envelope = &path
	}
	return c, nil
}

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
