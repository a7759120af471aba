package payload

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
	"github.com/postferry/postferry/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ptr[T any](v T) *T { return &v }

// golden is a file of testdata without its white space.
func golden(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func render(t testing.TB, d *sinks.Delivery, format string, o Options) string {
	t.Helper()
	r, err := NewRenderer(format, o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	all, err := b.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(all)) != b.Size() {
		t.Errorf("%d octets of a body of %d", len(all), b.Size())
	}
	return string(all)
}

func TestEveryFieldOfTheNativeEvent(t *testing.T) {
	zone := time.FixedZone("", 3600)
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	d.ID, d.Timestamp = "msg_2h9kQ4x1", time.Date(2026, 11, 23, 13, 0, 1, 0, zone)
	d.Origin = sinks.Origin{Name: "support", Protocol: "imap", Folder: ptr("INBOX"), UIDValidity: ptr(uint32(1693)), UID: ptr(uint32(1483)), Flags: []string{`\Seen`}}
	d.Message = &parser.Message{
		MessageID: []string{"caf3.91@mail.example"}, InReplyTo: []string{"t1042@example.com"}, References: []string{"t1042@example.com"},
		From:    []parser.Address{{Name: ptr("Ada Byron"), Email: "ada@customer.example"}},
		Sender:  []parser.Address{{Email: "list@customer.example"}},
		ReplyTo: []parser.Address{{Name: ptr(`Ada "the first" <b>`), Email: "reply@customer.example"}},
		To:      []parser.Address{{Email: "support+vip@example.com"}, {Name: ptr("Grüße"), Email: "b@example.com"}},
		CC:      []parser.Address{}, BCC: []parser.Address{{Email: "c@example.com"}},
		Subject: ptr("Re: Order 1042 is late"), SentAt: &parser.Time{Time: time.Date(2026, 11, 23, 12, 59, 40, 0, zone)},
		ReceivedAt: ptr(time.Date(2026, 11, 23, 11, 59, 43, 999, time.UTC)), Size: 58211, HasAttachment: true, Preview: "Still nothing here…",
		Text: ptr("Still nothing here…\n\ttab \\ slash \"quote\" \x00\x1b 🚢"), HTML: ptr("<p>Still nothing here…</p>&amp;"), HTMLSafe: ptr("<p>Still nothing here…</p>"),
		Attachments: d.Message.Attachments,
		Headers:     []parser.Header{{Name: "Received", Value: "from mx.example"}, {Name: "Subject", Value: "Re: Order 1042 is late"}},
		Reply:       &parser.Reply{Text: "Still nothing here.", Quoted: "> On Monday"}, Thread: parser.Thread{Key: "t1042@example.com"},
		DeliveredTo: []string{"support+vip@example.com"}, RecipientTags: []string{"vip"},
		Automated: parser.Automated{Is: true, Kind: ptr("auto-reply"), Reason: ptr("Auto-Submitted: auto-replied")},
		Bounce: &parser.Bounce{Recipients: []parser.BounceRecipient{
			{Email: "gone@example.net", Action: ptr("failed"), Status: ptr("5.1.1"), Diagnostic: ptr("550 no such user")}, {Email: "x@example.net"},
		}, Original: parser.BounceOriginal{MessageID: ptr("m1@example.com")}},
		List:     &parser.List{ID: ptr("announce.example.com"), Unsubscribe: []string{"mailto:leave@example.com", "https://example.com/leave"}},
		Calendar: []parser.Event{{Method: ptr("REQUEST"), UID: "e1@example.com", Summary: ptr("Talk"), Start: ptr("2026-12-01T10:00:00Z"), Organizer: ptr("ada@customer.example")}},
		Auth:     parser.Authentication{SPF: ptr("pass"), DKIM: ptr("pass"), Trusted: true},
		Problems: []parser.Problem{{Code: "bad-date", Where: "header", Detail: "the Date field could not be read"}},
	}
	if got, want := render(t, d, "native", Options{}), golden(t, "full.json"); got != want {
		t.Errorf("the event is\n%s\nnot\n%s", got, want)
	}
}

func TestEveryFieldThatCanBeAbsentIsNullOrEmpty(t *testing.T) {
	d := &sinks.Delivery{
		ID: "msg_2h9kQ4x1", Timestamp: time.Date(2026, 11, 23, 12, 0, 1, 0, time.UTC), Message: &parser.Message{}, Octets: spool.NewOctets(nil),
		Origin: sinks.Origin{Name: "old", Protocol: "pop3", UIDL: ptr("00001.a")},
	}
	if got, want := render(t, d, "", Options{}), golden(t, "empty.json"); got != want {
		t.Errorf("the event is\n%s\nnot\n%s", got, want)
	}
}

// The event says what encoding/json says of the same Message, apart from the
// members of attachments that only the event has.
func TestTheMessageIsWhatItsTagsSay(t *testing.T) {
	for i, raw := range append(sinktest.Hostile(), sinktest.Mail) {
		d := sinktest.Delivery(t, i, raw)
		d.Message.Attachments = []parser.Attachment{}
		b, err := Message(d.Message, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(d.Message)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(decoded(t, got), decoded(t, want)) {
			t.Errorf("mail %d:\n%s\n%s", i, got, want)
		}
		b.Release()
	}
}

// decoded is the JSON in one spelling.
func decoded(t testing.TB, text []byte) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// withAttachments is a mail with attachments of these sizes.
func withAttachments(sizes ...int) string {
	var b strings.Builder
	b.WriteString("Subject: files\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n")
	for i, size := range sizes {
		fmt.Fprintf(&b, "--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=f%d\r\nContent-Transfer-Encoding: base64\r\n\r\n", i)
		text := base64.StdEncoding.EncodeToString(octets(size))
		for len(text) > 76 {
			b.WriteString(text[:76] + "\r\n")
			text = text[76:]
		}
		b.WriteString(text + "\r\n")
	}
	b.WriteString("--b--\r\n")
	return b.String()
}

func octets(n int) []byte {
	all := make([]byte, n)
	for i := range all {
		all[i] = byte(i * 7)
	}
	return all
}

type sent struct {
	Name, Content, Encoding, URL, Omitted *string
	Size                                  int
	SHA256                                string
}

func attachmentsOf(t testing.TB, text string) []sent {
	t.Helper()
	var event struct {
		Data struct{ Message struct{ Attachments []sent } }
	}
	if err := json.Unmarshal([]byte(text), &event); err != nil {
		t.Fatal(err)
	}
	return event.Data.Message.Attachments
}

func TestAttachmentsByMode(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name   string
		o      Options
		sizes  []int
		inline []bool // nil: the list is empty
	}{
		{"auto, small", Options{}, []int{10, 0, 1000}, []bool{true, true, true}},
		{"auto, one at the limit", Options{}, []int{mib}, []bool{true}},
		{"auto, one beyond the limit", Options{}, []int{mib + 1}, []bool{false}},
		{"auto, together beyond the limit", Options{}, []int{mib - 10, 10, 1}, []bool{true, true, false}},
		{"auto, with another limit", Options{InlineLimit: 5}, []int{3, 3, 2}, []bool{true, false, true}},
		{"inline", Options{Attachments: Inline}, []int{10, 2 * mib, 3*mib + 1}, []bool{true, true, true}},
		{"metadata", Options{Attachments: Metadata}, []int{10, 2 * mib}, []bool{false, false}},
		{"none", Options{Attachments: None}, []int{10}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := attachmentsOf(t, render(t, sinktest.Delivery(t, 1, withAttachments(c.sizes...)), "native", c.o))
			if len(got) != len(c.inline) {
				t.Fatalf("%d attachments", len(got))
			}
			for i, a := range got {
				if a.Size != c.sizes[i] || a.URL != nil || len(a.SHA256) != 64 {
					t.Errorf("attachment %d is %+v", i, a)
				}
				if !c.inline[i] {
					if a.Content != nil || a.Encoding != nil || a.Omitted == nil || *a.Omitted == "" {
						t.Errorf("attachment %d is sent: %+v", i, a)
					}
					continue
				}
				if a.Omitted != nil || a.Encoding == nil || *a.Encoding != "base64" || a.Content == nil {
					t.Fatalf("attachment %d is not sent: %+v", i, a)
				}
				if *a.Content != base64.StdEncoding.EncodeToString(octets(c.sizes[i])) {
					t.Errorf("attachment %d has other octets", i)
				}
			}
		})
	}
}

func TestModesThatAreNotThereAreRefused(t *testing.T) {
	for _, mode := range []Attachments{"Inline", "all"} {
		if _, err := NewRenderer("native", Options{Attachments: mode}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q is not auto, inline, metadata, none, multipart or store", mode)) {
			t.Errorf("%s: %v", mode, err)
		}
	}
	if _, err := NewRenderer("nativ", Options{}); err == nil || !strings.Contains(err.Error(), `"nativ" is not one of native, raw`) {
		t.Errorf("%v", err)
	}
}

func TestADeliveryOfOneAttachmentHasThatAlone(t *testing.T) {
	d := sinktest.Delivery(t, 1, withAttachments(3, 4, 5))
	d.Part = d.Message.Attachments[1].PartID
	if got := attachmentsOf(t, render(t, d, "native", Options{})); len(got) != 1 || got[0].Size != 4 {
		t.Errorf("%+v", got)
	}
}

func TestStringsAreEscapedAsEncodingJSONReadsThem(t *testing.T) {
	for _, s := range []string{
		"", "plain", "12345678", "1234567\"", "\"12345678", "\\", "a\x00b\x1f\x7f", "\u2028\u2029", "<&>", "ü", "🚢", "\xff", "a\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\xaf",
		strings.Repeat("x", 100) + "\x01" + strings.Repeat("y", 7) + "é", strings.Repeat("\xff", 9),
	} {
		text := appendString(nil, s)
		var got string
		if err := json.Unmarshal(text, &got); err != nil || got != strings.ToValidUTF8(s, "\uFFFD") && !sameRepair(s, got) || !utf8.Valid(text) {
			t.Errorf("%q became %s: %q, %v", s, text, got, err)
		}
	}
}

// sameRepair compares with what encoding/json makes of octets that are not UTF-8:
// one U+FFFD for each.
func sameRepair(s, got string) bool {
	text, err := json.Marshal(s)
	var want string
	return err == nil && json.Unmarshal(text, &want) == nil && want == got
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", "a\"b", "\xff\x00", "ü\\🚢", "12345678901234567\x1f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := appendString(nil, s)
		var got string
		if err := json.Unmarshal(text, &got); err != nil || !utf8.Valid(text) || !sameRepair(s, got) {
			t.Fatalf("%q became %s: %v", s, text, err)
		}
	})
}

// Whatever octets a mail has, its event is JSON in UTF-8 with all its members.
func FuzzNative(f *testing.F) {
	for _, raw := range append(sinktest.Hostile()[:9], sinktest.Mail, withAttachments(5, 0)) {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := sinktest.Delivery(t, 1, string(raw))
		for _, mode := range []Attachments{Auto, Inline, Metadata, None} {
			text := render(t, d, "native", Options{Attachments: mode})
			if !utf8.ValidString(text) || !json.Valid([]byte(text)) {
				t.Fatalf("%s", text)
			}
			var event struct {
				ID   string
				Data struct{ Message map[string]any }
			}
			if err := json.Unmarshal([]byte(text), &event); err != nil || event.ID != d.ID || len(event.Data.Message) != 30 {
				t.Fatalf("%d members, %v: %s", len(event.Data.Message), err, text)
			}
			for i, a := range attachmentsOf(t, text) {
				if a.Content == nil {
					continue
				}
				decoded, err := base64.StdEncoding.DecodeString(*a.Content)
				if err != nil || len(decoded) != a.Size {
					t.Fatalf("attachment %d: %d of %d octets, %v", i, len(decoded), a.Size, err)
				}
			}
		}
	})
}
