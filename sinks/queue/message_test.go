package queue

import (
	"bytes"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func maker(t testing.TB, o Options, format string, p payload.Options) *Maker {
	t.Helper()
	r, err := payload.NewRenderer(format, p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMaker(o, r, clock.System{}, "Content-Type")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func linkTo(_ *sinks.Delivery, a *parser.Attachment) string {
	return "https://here.example/" + a.PartID
}

// attached is a mail whose attachment is 8 KB, under a text of a few octets.
var attached = "Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\n\r\nhello\r\n--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=i.pdf\r\n\r\n" +
	strings.Repeat("0123456789abcde\n", 512) + "\r\n--b--\r\n"

func TestWhatIsTooLarge(t *testing.T) {
	for _, c := range []struct {
		fact, format, large string
		options             payload.Options
		has                 string // "": a dead letter
	}{
		{"has its attachments as links", "native", "", payload.Options{Link: linkTo}, `"url":"https://here.example/2"`},
		{"has its attachments as links where all were wanted inline", "native", Link, payload.Options{Attachments: payload.Inline, Link: linkTo}, `"url":"https://here.example/2"`},
		{"has its attachments as links where they were wanted beside it", "native", Link, payload.Options{Attachments: payload.Multipart, Link: linkTo}, `"url":"https://here.example/2"`},
		{"has its attachments described where nothing else was asked for", "native", Link, payload.Options{}, `"url":null,"omitted":"attachments are sent as metadata"`},
		{"has its attachments described in a CloudEvent", "cloudevents", Link, payload.Options{}, `"omitted":"attachments are sent as metadata"`},
		{"is a dead letter where all were wanted inline and there are no links", "native", Link, payload.Options{Attachments: payload.Inline}, ""},
		{"is a dead letter where that is wanted", "native", Dead, payload.Options{Link: linkTo}, ""},
		{"is a dead letter where it is the mail itself", "raw", Link, payload.Options{Link: linkTo}, ""},
		{"is a dead letter in a format without a place for links", "postmark", Link, payload.Options{Link: linkTo}, ""},
	} {
		t.Run(c.fact, func(t *testing.T) {
			m := maker(t, Options{Large: c.large}, c.format, c.options)
			d := sinktest.Delivery(t, 1, attached)
			made, err := m.Make(d, 4000)
			if c.has == "" {
				if !sinks.IsPermanent(err) || !strings.Contains(err.Error(), "octets, and the broker takes 4000 — ") {
					t.Fatalf("the error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer made.Release()
			if !bytes.Contains(made.Body, []byte(c.has)) || made.size(int64(len(made.Body))) > 4000 {
				t.Errorf("the body is %s", made.Body)
			}
		})
	}
}

func TestTheLimitIsTheSmallerOfTheBrokersAndTheOptions(t *testing.T) {
	d := sinktest.Delivery(t, 1, attached)
	whole, err := maker(t, Options{}, "raw", payload.Options{}).Make(d, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Release()
	size := whole.size(int64(len(whole.Body)))
	for _, c := range []struct {
		broker, own int64
		fits        bool
	}{{size, 0, true}, {size - 1, 0, false}, {0, size, true}, {0, size - 1, false}, {size, size - 1, false}, {size - 1, size, false}} {
		m := maker(t, Options{MaxSize: config.Size(c.own)}, "raw", payload.Options{})
		made, err := m.Make(d, c.broker)
		if (err == nil) != c.fits {
			t.Errorf("of %d octets with %d and %d: %v", size, c.broker, c.own, err)
		}
		if err == nil {
			made.Release()
		}
	}
}

func TestHeaderFieldsOfTheMailCannotBreakOut(t *testing.T) {
	m := maker(t, Options{Headers: map[string]string{"X-Subject": "<{{ message.subject }}>", "X-Box": "{{ mailbox.name }}"}}, "native", payload.Options{})
	made, err := m.Make(sinktest.Delivery(t, 1, "Subject: =?utf-8?q?a=0D=0AX-Evil:_1=00?="+strings.Repeat(" =?utf-8?q?long?=", 2000)+"\r\n\r\n"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer made.Release()
	if len(made.Header) != 2 || made.Header[0] != (Field{"X-Box", "support"}) {
		t.Fatalf("%+v", made.Header)
	}
	if v := made.Header[1].Value; !strings.HasPrefix(v, "<a  X-Evil: 1 ") || strings.ContainsAny(v, "\r\n\x00") || len(v) > longestValue+2 {
		t.Errorf("%d octets: %.60q", len(v), v)
	}
}

func TestFieldsOfTheFormatAreInTheHeader(t *testing.T) {
	f, err := payload.Lookup("cloudevents")
	if err != nil {
		t.Fatal(err)
	}
	reflect.ValueOf(f).Elem().FieldByName("Mode").SetString("binary")
	m, err := NewMaker(Options{}, payload.Renderer{Format: f}, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	made, err := m.Make(sinktest.Delivery(t, 1, sinktest.Mail), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer made.Release()
	if made.ContentType != "application/json" || !slices.Contains(made.Header, Field{"ce-id", sinktest.ID(1)}) {
		t.Errorf("%s %+v", made.ContentType, made.Header)
	}
}

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	for _, c := range []struct {
		o    Options
		says string
	}{
		{Options{Large: "split"}, `"split" is not link or dead`},
		{Options{Timeout: -1}, "negative"},
		{Options{Headers: map[string]string{"a b": "x"}}, "not a name for a header field"},
		{Options{Headers: map[string]string{"": "x"}}, "no name"},
		{Options{Headers: map[string]string{"X": "{{ message.subjct }}"}}, "subject"},
		{Options{Headers: map[string]string{"content-type": "x"}}, "set by postferry itself"},
	} {
		if _, err := NewMaker(c.o, payload.Renderer{}, clock.System{}, "Content-Type"); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}

func TestAMaskLeavesNoPartOfALongerSecret(t *testing.T) {
	m := NewMask("pass", "password-of-mine", "", "ab", url.QueryEscape("p&ss"))
	if got := m.Replace("password-of-mine pass ab p%26ss"); got != "******** ******** ab ********" {
		t.Errorf("%q", got)
	}
	if got := (Mask{}).Replace("as it is"); got != "as it is" {
		t.Errorf("%q", got)
	}
}

func FuzzValue(f *testing.F) {
	f.Add("Order 1042")
	f.Add("a\r\nInjected: b\x00\x85")
	f.Add(strings.Repeat("x", longestValue-1) + "ü")
	f.Add("\xff" + strings.Repeat("ü\xc3", 10))
	f.Fuzz(func(t *testing.T, said string) {
		got := Value(said)
		if len(got) > longestValue || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q became %q", said, got)
		}
		if again := Value(got); again != got {
			t.Errorf("%q became %q, and that %q", said, got, again)
		}
	})
}

func FuzzMask(f *testing.F) {
	f.Add("secret", "secret-and-more", "the password secret-and-more is wrong")
	f.Add("", "abc", "abc")
	f.Add("****", "a***", "a****")
	f.Fuzz(func(t *testing.T, one, other, text string) {
		got := NewMask(one, other).Replace(strings.ReplaceAll(text, secret.Masked, ""))
		for _, s := range []string{one, other} {
			if len(s) >= shortest && strings.Contains(strings.ReplaceAll(got, secret.Masked, "\x00"), s) && !strings.Contains(s, "\x00") {
				t.Errorf("%q shows %q", got, s)
			}
		}
	})
}
