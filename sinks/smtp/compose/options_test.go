package compose

import (
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/parser"
)

func TestMistakesAreFoundWhenTheSinkIsMade(t *testing.T) {
	for why, change := range map[string]func(*Options){
		"is not reply, reply-all":            func(o *Options) { o.Action = "bounce" },
		"action: forward needs to":           func(o *Options) { o.Action = Forward },
		"is no list of addresses":            func(o *Options) { o.Action, o.To = Notify, []string{"nobody"} },
		"is no domain":                       func(o *Options) { o.Action, o.To = Notify, []string{"a@-b"} },
		"a part of an address without @":     func(o *Options) { o.Action, o.To = Notify, []string{"Support {{ message.subject }}"} },
		"is not a field here":                func(o *Options) { o.Action, o.To = Notify, []string{"{{ message.form }}"} },
		"wants one address":                  func(o *Options) { o.Action, o.From = Acknowledge, "a@example.com, b@example.com" },
		"sends the mail as it is":            func(o *Options) { o.Action, o.To, o.Text = Redirect, []string{"a@example.com"}, "x" },
		"has the mail in it anyway":          func(o *Options) { o.Action, o.To, o.Quote = Forward, []string{"a@example.com"}, new(true) },
		"is not between 1d and 90d":          func(o *Options) { o.Action, o.RepeatAfter = Acknowledge, time.Hour },
		"Bcc is a field that postferry sets": func(o *Options) { o.Action, o.Headers = Acknowledge, map[string]string{"Bcc": "x"} },
		"Content-Type is a field":            func(o *Options) { o.Action, o.Headers = Acknowledge, map[string]string{"Content-Type": "x"} },
		"is not the name of a header field":  func(o *Options) { o.Action, o.Headers = Acknowledge, map[string]string{"X-A: b\r\nBcc": "x"} },
		"X-A: {{ message.form }}":            func(o *Options) { o.Action, o.Headers = Acknowledge, map[string]string{"X-A": "{{ message.form }}"} },
		"may not begin with a hole":          func(o *Options) { o.Action, o.HTML = Acknowledge, `<a href="{{ message.text }}">` },
		"is no address: it has no @":         func(o *Options) { o.Action, o.Envelope = Acknowledge, "bounces" },
	} {
		var o Options
		o.SetDefaults()
		change(&o)
		if why == "X-A: {{ message.form }}" {
			why = `X-A: {{ message.form }}: "form" is not a field`
		}
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
}

func TestReplyThatSaysNothingIsNotComplete(t *testing.T) {
	if err := (&Options{Action: Reply}).Complete("support@example.com"); err == nil {
		t.Error("a reply without text is complete")
	}
	for _, o := range []Options{{Action: Reply, Text: "x"}, {Action: ReplyAll, HTML: "x"}, {Action: Acknowledge}, {Action: Forward}} {
		if err := o.Complete("support@example.com"); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
		if err := o.Complete(""); err == nil || !strings.Contains(err.Error(), "is no address") {
			t.Errorf("%+v, of a mailbox without an address: %v", o, err)
		}
	}
}

// Whatever a mail says, as many addresses come of a text as the operator wrote.
func TestHolesAddNoRecipients(t *testing.T) {
	names := `ada" <x@evil.example>, y@evil.example, "z`
	d := delivery(t, "From: ada@customer.example\r\nSubject: a@evil.example, b@evil.example\r\n\r\nx\r\n")
	d.Message.From[0].Name = &names
	for source, want := range map[string]string{
		"{{ message.from }}":                                                    `ada@customer.example`,
		"{{ message.from[0].name }} <desk@example.com>":                         "desk@example.com",
		"{{ slug(message.subject, 40) }}@example.com":                           "a-evil-example-b-evil-example@example.com",
		"Desk <desk+{{ slug(message.subject, 6) }}@example.com>, b@example.com": "desk+a-evil@example.com b@example.com",
		"{{ message.subject }}":                                                 "error",
		"{{ message.subject }}@example.com":                                     "error",
		"{{ message.cc }}":                                                      "",
		"{{ map(message.from, .email) }}":                                       "ada@customer.example",
	} {
		l, err := compileAddresses([]string{source})
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		list, err := l.of(d)
		got := make([]string, len(list))
		for i, a := range list {
			got[i] = a.Email
		}
		if text := strings.Join(got, " "); err == nil && text != want || err != nil && want != "error" {
			t.Errorf("%s is %s, %v; not %s", source, text, err, want)
		}
	}
}

func TestAddressesThatNoMailIsSentTo(t *testing.T) {
	for _, bad := range []string{
		"", "a", "@", "a@", "@b", "a b@c.example", "a@b c", "a@b\r\nRCPT TO:<x@y>", "a\x00@b", "<a@b>", "a@b>", "a,b@c", "a@b,c@d", `"a b"@c.example`, "a..b@c", ".a@c", "a@-c", "a@c..d", "a@[1.2.3]", "a@[1.2.3.4", "a@b@c.example",
		"a\u2028@b.example", "a\u00a0@b.example", "a@b\u2028.example", strings.Repeat("a", 65) + "@b.example", "a@" + strings.Repeat("b.", 130) + "c", "a(comment)@b.example", "a@b_c.example",
	} {
		if got, err := cleanAddress(bad); err == nil {
			t.Errorf("%q is %q", bad, got)
		}
	}
	for in, want := range map[string]string{
		"a@b.example": "a@b.example", "A.b+c@B.Example": "A.b+c@b.example", "o'neil@b.example": "o'neil@b.example", "a@[192.0.2.1]": "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]": "a@[IPv6:2001:db8::1]",
		"x@bücher.example": "x@xn--bcher-kva.example", "jürgen@b.example": "jürgen@b.example", "root@localhost": "root@localhost",
	} {
		if got, err := cleanAddress(in); err != nil || got != want {
			t.Errorf("%q is %q, %v", in, got, err)
		}
	}
}

func TestLetterNamesItsRecipientsButNotBcc(t *testing.T) {
	name := "Zoë, the \"boss\""
	l := &Letter{
		ID: "abc", Date: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC), From: parser.Address{Name: &name, Email: "a@example.com"},
		To: []parser.Address{{Email: "b@example.com"}}, CC: []parser.Address{{Email: "c@example.com"}, {Email: "B@example.com"}}, BCC: []parser.Address{{Email: "d@example.com"}},
		Subject: "=?utf-8?q?not_decoded?= and a\r\nBcc: line", Text: "hello\r\nworld", Headers: []parser.Header{{Name: "X-A", Value: "b\r\n\r\nbody"}},
	}
	m, err := l.Mail()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(m.To, " "); got != "b@example.com c@example.com d@example.com" {
		t.Errorf("it goes to %s", got)
	}
	raw := written(t, m, Offers{})
	parsed := delivery(t, raw).Message
	if strings.Contains(raw, "d@example.com") || *parsed.Subject != "=?utf-8?q?not_decoded?= and a Bcc: line" || *parsed.From[0].Name != name || strings.TrimSpace(*parsed.Text) != "hello\nworld" || parsed.MessageID[0] != "abc@example.com" || len(parsed.Headers) != 10 {
		t.Errorf("it is %s", raw)
	}
	for what, change := range map[string]func(*Letter){
		"no recipients": func(l *Letter) { l.To, l.CC, l.BCC = nil, nil, nil },
		"from:":         func(l *Letter) { l.From.Email = "a" },
		"to:":           func(l *Letter) { l.To[0].Email = "b@example.com\r\nDATA" },
		"Sender":        func(l *Letter) { l.Headers = []parser.Header{{Name: "Sender", Value: "x"}} },
		"more than 100": func(l *Letter) { l.BCC = many(101) },
	} {
		bad := *l
		bad.To = []parser.Address{{Email: "b@example.com"}}
		change(&bad)
		if _, err := bad.Mail(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func many(n int) []parser.Address {
	list := make([]parser.Address, n)
	for i := range list {
		list[i].Email = strings.Repeat("x", i%60+1) + string(rune('a'+i/60)) + "@example.com"
	}
	return list
}
