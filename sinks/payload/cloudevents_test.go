package payload

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
	"github.com/postferry/postferry/spool"
)

// body renders a delivery with a format whose settings are given.
func body(t testing.TB, d *sinks.Delivery, f Format, o Options) (string, *Body) {
	t.Helper()
	b, err := Renderer{Format: f, Options: o}.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Release)
	all, err := b.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(all)) != b.Size() {
		t.Errorf("%d octets of a body of %d", len(all), b.Size())
	}
	return string(all), b
}

func TestACloudEventIsTheNativeEventInItsEnvelope(t *testing.T) {
	d := &sinks.Delivery{
		ID: "msg_2h9kQ4x1", Timestamp: time.Date(2026, 11, 23, 12, 0, 1, 0, time.UTC), Message: &parser.Message{}, Octets: spool.NewOctets(nil),
		Origin: sinks.Origin{Name: "old", Protocol: "pop3", UIDL: ptr("00001.a")},
	}
	got, b := body(t, d, &cloudEvents{Mode: structured}, Options{})
	if want := golden(t, "cloudevents.json"); got != want {
		t.Errorf("the event is\n%s\nnot\n%s", got, want)
	}
	if b.ContentType != "application/cloudevents+json; charset=utf-8" || len(b.Header) != 0 {
		t.Errorf("it is sent as %s with %v", b.ContentType, b.Header)
	}
}

// HTTP protocol binding 1.0.2, section 3.1: each attribute is a field ce-NAME,
// datacontenttype is Content-Type, and the body is the data as it is.
func TestInBinaryModeTheAttributesAreHeaderFields(t *testing.T) {
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	event, _ := body(t, d, &cloudEvents{Mode: structured}, Options{})
	got, b := body(t, d, &cloudEvents{Mode: binaryMode}, Options{})
	if _, data, _ := strings.Cut(event, `,"data":`); got+"}" != data {
		t.Errorf("the body is\n%s\nthe data\n%s", got, data)
	}
	if b.ContentType != "application/json" {
		t.Errorf("it is sent as %s", b.ContentType)
	}
	for name, want := range map[string]string{
		"ce-specversion": "1.0", "ce-id": sinktest.ID(1), "ce-source": "/mailboxes/support", "ce-type": "message.received", "ce-time": "2026-11-23T12:00:01Z",
	} {
		if got := b.Header.Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if len(b.Header) != 5 {
		t.Errorf("there are %v", b.Header)
	}
}

// The examples are those of section 3.1.3.2 of the HTTP protocol binding.
func TestAttributesArePercentEncodedForTheHeader(t *testing.T) {
	for in, want := range map[string]string{
		"Euro € 😀": "Euro%20%E2%82%AC%20%F0%9F%98%80", `"100%"`: "%22100%25%22", "plain~!": "plain~!", "a\r\nb": "a%0D%0Ab", "\xff": "%EF%BF%BD",
	} {
		if got := attribute(in); got != want {
			t.Errorf("%q is %s, not %s", in, got, want)
		}
	}
}

// CloudEvents 1.0.2, section 3.1: the required attributes are non-empty strings,
// source is a URI-reference and every other one has its type.
func FuzzACloudEventIsValidWhateverTheMail(f *testing.F) {
	f.Add([]byte(sinktest.Mail), "support")
	for _, raw := range sinktest.Hostile() {
		f.Add([]byte(raw), "a b\x00%\xff")
	}
	f.Fuzz(func(t *testing.T, raw []byte, mailbox string) {
		d := sinktest.Delivery(t, 1, string(raw))
		d.Origin.Name = mailbox
		var event struct {
			SpecVersion, ID, Source, Type, DataContentType string
			Time                                           time.Time
			Data                                           struct{ Mailbox, Message map[string]any }
		}
		text, _ := body(t, d, &cloudEvents{Mode: structured}, Options{})
		if err := json.Unmarshal([]byte(text), &event); err != nil {
			t.Fatal(err)
		}
		if _, err := url.Parse(event.Source); err != nil {
			t.Error(err)
		}
		if event.SpecVersion != "1.0" || event.ID == "" || event.Source == "" || event.Type == "" || event.Time.IsZero() ||
			event.DataContentType != "application/json" || event.Data.Mailbox == nil || event.Data.Message == nil {
			t.Errorf("%+v", event)
		}
		_, b := body(t, d, &cloudEvents{Mode: binaryMode}, Options{})
		if got := b.Header.Get("ce-source"); strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("the field is %q", got)
		}
	})
}
