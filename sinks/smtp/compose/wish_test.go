package compose

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/smtp/submit"
)

func TestWishTakesThePlaceOfTheConfiguration(t *testing.T) {
	forward := func(o *Options) {
		o.Action, o.To, o.BCC, o.Subject, o.Text = Forward, []string{"team@example.com"}, []string{"archive@example.com"}, "From the desk", "Please look."
	}
	boss := []parser.Address{{Email: "boss@example.com"}}
	for _, c := range []struct {
		name    string
		wish    Wish
		to      string
		subject string
		says    string
	}{
		{"nothing but what is configured", Wish{}, "team@example.com archive@example.com", "From the desk", "Please look."},
		{"other recipients, and the rest as it is", Wish{Action: Forward, To: boss}, "boss@example.com archive@example.com", "From the desk", "Please look."},
		{"another action has nothing of the sink's own", Wish{Action: Reply, Text: "On its way."}, "ada@customer.example", "Re: Order 1042 is late", "On its way."},
		{"to all", Wish{Action: ReplyAll, Text: "On its way.", Subject: "Your order"}, "ada@customer.example bob@customer.example juergen@customer.example", "Your order", "On its way."},
	} {
		m, err := composer(t, forward).Compose(context.Background(), delivery(t, wire(question)), &c.wish)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		sent := delivery(t, written(t, m, Offers{})).Message
		if got := strings.Join(m.To, " "); got != c.to || *sent.Subject != c.subject || !strings.HasPrefix(*sent.Text, c.says) {
			t.Errorf("%s: to %s, subject %q, text %q", c.name, got, *sent.Subject, *sent.Text)
		}
	}
}

func TestWishIsSanitisedAndGuarded(t *testing.T) {
	c := composer(t, func(o *Options) { o.Action, o.Text = Reply, "x" })
	m, err := c.Compose(context.Background(), delivery(t, wire(question)), &Wish{HTML: "<p onclick=x()>Hi<script>x()</script></p>", Subject: "a\r\nBcc: x@evil.example"})
	if err != nil {
		t.Fatal(err)
	}
	raw := written(t, m, Offers{})
	if strings.Contains(raw, "script") || strings.Contains(raw, "onclick") || strings.Contains(raw, "\nBcc") || !strings.Contains(raw, "<p>Hi</p>") {
		t.Errorf("it is %s", raw)
	}
	if _, err := c.Compose(context.Background(), delivery(t, mailFrom("ada@customer.example", "Precedence: bulk")), &Wish{Text: "x"}); err == nil {
		t.Error("bulk mail was answered")
	}
	for _, bad := range []string{"a", "a@b\r\nRCPT TO:<x@y>", "a b@c.example"} {
		if _, err := c.Compose(context.Background(), delivery(t, wire(question)), &Wish{Text: "x", To: []parser.Address{{Email: bad}}}); !sinks.IsPermanent(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestWhatIsSubmittedIsWhatIsWritten(t *testing.T) {
	defer goleak.VerifyNone(t)
	small := composed(t, composer(t, func(o *Options) { o.Action, o.Text = Reply, "Grüße" }), delivery(t, wire(question)))
	large := composed(t, composer(t, func(o *Options) { o.Action, o.To = Redirect, []string{"team@example.com"} }), delivery(t, wire(question)+strings.Repeat("0123456789\r\n", 40_000)))
	for _, m := range []*Mail{small, large} {
		for _, o := range []Offers{{}, {EightBit: true}} {
			s, err := m.Submit(o)
			if err != nil {
				t.Fatal(err)
			}
			want := written(t, m, o)
			if s.From != m.From || !slices.Equal(s.To, m.To) || s.Size != int64(len(want)) || s.EightBit != (m == small && o.EightBit) || s.UTF8 {
				t.Errorf("the envelope is %+v, of %d octets", s.Envelope, s.Size)
			}
			for range 2 {
				r, err := s.Open()
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				if err != nil || !bytes.Equal(got, []byte(want)) {
					t.Errorf("read %d octets, %v", len(got), err)
				}
			}
			cut, err := s.Open() // closed before its end
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cut.Read(make([]byte, 10)); err != nil {
				t.Error(err)
			}
			if err := cut.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	m := composed(t, composer(t, func(o *Options) { o.Action, o.To = Redirect, []string{"team@example.com"} }), delivery(t, wire(pictures)))
	if _, err := m.Submit(submit.Offers{}); err != ErrEightBit {
		t.Errorf("without 8BITMIME: %v", err)
	}
}
