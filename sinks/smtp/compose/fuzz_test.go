package compose

import (
	"bytes"
	"context"
	"errors"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

var actions = []string{Reply, ReplyAll, Acknowledge, Forward, Notify, Redirect}

// fuzzed are sinks that put as much of a mail as they can into what they send, and
// the header fields that has, as often as it may have them.
func fuzzed(t testing.TB) map[string]*Composer {
	all := map[string]*Composer{}
	for _, action := range actions {
		all[action] = composer(t, func(o *Options) {
			o.Action, o.From, o.Guards = action, "{{ message.from[0].name }} via Desk <desk@example.com>", "loops"
			if !isAnswer(action) {
				o.To, o.BCC = []string{"{{ message.subject }} <team@example.com>"}, []string{"archive@example.com"}
			}
			if action == Redirect {
				return
			}
			o.Subject, o.Text, o.HTML, o.Attach = "{{ message.subject }} {{ message.text }}", "{{ message.text }}{{ message.html }}", "<p title=\"x{{ message.subject }}\">{{ message.text }}{{ message.htmlSafe }}</p>", "all"
			o.Headers = map[string]string{"X-Subject": "{{ message.subject }}", "X-All": "{{ json(message.headers) }}"}
			if action == Notify {
				o.Attach = "original"
			}
		})
	}
	return all
}

// ours are the fields a mail may have, beside those it may have three times.
var ours = strings.Fields("Date From To Cc Subject Message-Id In-Reply-To References Auto-Submitted X-Subject X-All Mime-Version Content-Type Content-Transfer-Encoding")

func FuzzCompose(f *testing.F) {
	for _, seed := range []string{
		wire(question), wire(pictures), "", "\r\n\r\n", " \r\n", "\x00 ", "From: a\rBcc: x@evil.example\r\n\r\n.\r\n.\r", "Subject: =?utf-8?q?a=0D=0ABcc:_x@evil.example?=\r\nFrom: =?utf-8?b?YQ0KQmNjOiB4?= <ada@customer.example>\r\n\r\n\x00\n.\n",
		"From: \"a, x@evil.example\" <ada@customer.example>\r\nReply-To: a:b,c;,<@x:y@z>\r\nReferences: <a@b\r\n c> <>\r\nMessage-ID: <a\x00b@c>\r\n\r\n--\r\n",
		"Content-Type: text/html; charset=utf-8\r\n\r\n</p><img src=cid:a><script>\r\n.\r\n",
		"Content-Type: application/x; name=\"a\r\n b\"\r\nContent-Disposition: attachment; filename*=utf-8''%0D%0ABcc%3A\r\nContent-ID: <a\"b>\r\n\r\nx",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	composers := fuzzed(f)
	f.Fuzz(func(t *testing.T, raw []byte, eightBit bool) {
		for _, action := range actions { // in order, for the same coverage each time
			c := composers[action]
			d := delivery(t, string(raw))
			m, err := c.Compose(context.Background(), d, nil)
			var w *Withheld
			switch {
			case errors.As(err, &w) || sinks.IsPermanent(err):
				continue
			case err != nil:
				t.Fatalf("%s: %v", action, err)
			}
			checkRecipients(t, action, m, d.Message)
			o := Offers{EightBit: eightBit, UTF8: eightBit}
			var b bytes.Buffer
			if err := m.WriteTo(&b, o); errors.Is(err, ErrEightBit) || errors.Is(err, ErrUTF8) {
				continue
			} else if err != nil {
				t.Fatalf("%s: %v", action, err)
			}
			checkOctets(t, action, b.Bytes())
			if action == Redirect {
				checkRedirect(t, b.String())
			} else {
				checkHeader(t, action, b.Bytes())
			}
		}
	})
}

// checkRecipients finds recipients that nobody meant.
func checkRecipients(t *testing.T, action string, m *Mail, from *parser.Message) {
	if !isAnswer(action) {
		if !slices.Equal(m.To, []string{"team@example.com", "archive@example.com"}) {
			t.Fatalf("%s goes to %q", action, m.To)
		}
		return
	}
	follow := fieldAddresses(from, "Mail-Followup-To")
	meant := slices.Concat(from.From, from.Sender, from.ReplyTo, from.To, from.CC, follow)
	for _, to := range m.To {
		if !slices.ContainsFunc(meant, func(a parser.Address) bool { c, err := cleanAddress(a.Email); return err == nil && c == to }) {
			t.Fatalf("%s goes to %q, which the mail does not name", action, to)
		}
		if strings.ContainsAny(to, "\r\n\x00 <>,") {
			t.Fatalf("%s goes to %q", action, to)
		}
	}
}

// checkOctets finds octets that have no place in a mail.
func checkOctets(t *testing.T, action string, b []byte) {
	rest := bytes.ReplaceAll(b, []byte("\r\n"), nil)
	if i := bytes.IndexAny(rest, "\r\n\x00"); i >= 0 {
		t.Fatalf("%s has %q alone", action, rest[i])
	}
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		t.Fatalf("%s does not end its last line", action)
	}
	if action == Redirect {
		return
	}
	for line := range bytes.SplitSeq(b, []byte("\r\n")) {
		if len(line) > longestLine {
			t.Fatalf("%s has a line of %d octets", action, len(line))
		}
	}
}

// checkHeader finds fields that are not ours, or are too many.
func checkHeader(t *testing.T, action string, b []byte) {
	m, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%s cannot be read: %v\n%.2000q", action, err, b)
	}
	for name, values := range m.Header {
		switch {
		case name == traceField && len(values) <= mostPasses+1:
		case len(values) != 1 || !slices.Contains(ours, name):
			t.Fatalf("%s has %s %d times", action, name, len(values))
		}
	}
	for _, name := range []string{"From", "To"} {
		if list, err := m.Header.AddressList(name); err != nil || name == "From" && (len(list) != 1 || list[0].Address != "desk@example.com") {
			t.Fatalf("%s: %s is %q: %v", action, name, m.Header.Get(name), err)
		}
	}
	parsed, err := parser.Parse(bytes.NewReader(b), int64(len(b)), parser.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if parsed.BCC != nil || len(parsed.From) != 1 {
		t.Fatalf("%s is read otherwise: from %v, bcc %v", action, parsed.From, parsed.BCC)
	}
}

// checkRedirect finds fields above the mail's that are not ours.
func checkRedirect(t *testing.T, s string) {
	want := []string{traceField, "Resent-Date", "Resent-From", "Resent-To", "Resent-Message-Id"}
	lines := strings.Split(s, "\r\n")
	for len(lines) > 0 && len(want) > 0 {
		if lines[0] != "" && lines[0][0] == ' ' {
			lines = lines[1:]
			continue
		}
		if !strings.HasPrefix(lines[0], want[0]+": ") {
			t.Fatalf("the redirected mail has %q in place of %s", lines[0], want[0])
		}
		lines, want = lines[1:], want[1:]
	}
	if len(lines) > 0 && lines[0] != "" && (lines[0][0] == ' ' || lines[0][0] == '\t') {
		t.Fatalf("the mail goes on with our last field: %q", lines[0])
	}
}
