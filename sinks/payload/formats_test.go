package payload

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
)

// letter is a delivery of testdata/letter.eml, which has all that the formats of
// mail services tell apart, from a mailbox that believes its server.
func letter(t testing.TB) *sinks.Delivery {
	t.Helper()
	raw, err := os.ReadFile("testdata/letter.eml")
	if err != nil {
		t.Fatal(err)
	}
	d := sinktest.Delivery(t, 1, string(raw))
	limits := parser.DefaultLimits()
	limits.AuthservIDs = []string{"mail.example.com"}
	if d.Message, err = parser.Parse(d.Octets, d.Octets.Size(), limits); err != nil {
		t.Fatal(err)
	}
	return d
}

// compact is JSON without its white space.
func compact(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return b.String()
}

// formField is one of a form: name and value; of a file also its name and type, and
// the value is base64.
type formField []string

// fieldsOf reads a form with the standard library.
func fieldsOf(t testing.TB, b *Body) []formField {
	t.Helper()
	all, err := b.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	media, params, err := mime.ParseMediaType(b.ContentType)
	if err != nil {
		t.Fatal(err)
	}
	var list []formField
	if media == urlencodedForm {
		for pair := range strings.SplitSeq(string(all), "&") {
			name, value, _ := strings.Cut(pair, "=")
			n, nErr := url.QueryUnescape(name)
			v, vErr := url.QueryUnescape(value)
			if nErr != nil || vErr != nil {
				t.Fatalf("%s: %v, %v", pair, nErr, vErr)
			}
			list = append(list, formField{n, v})
		}
		return list
	}
	if media != multipartForm {
		t.Fatalf("it is sent as %s", media)
	}
	for r := multipart.NewReader(bytes.NewReader(all), params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		value, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		_, disposition, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		if err != nil || p.FormName() == "" {
			t.Fatalf("%q: %v", p.Header, err)
		}
		if name, isFile := disposition["filename"]; isFile {
			list = append(list, formField{p.FormName(), name, p.Header.Get("Content-Type"), base64.StdEncoding.EncodeToString(value)})
			continue
		}
		if !utf8.Valid(value) {
			t.Errorf("%s is not UTF-8", p.FormName())
		}
		list = append(list, formField{p.FormName(), string(value)})
	}
}

// goldenForm compares a form with a golden, field by field.
func goldenForm(t *testing.T, b *Body, name string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var want []formField
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	got := fieldsOf(t, b)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !slices.Equal(got[i], want[i]) {
			t.Fatalf("field %d is\n%q, not\n%q", i, got[min(i, len(got)):min(i+1, len(got))], want[min(i, len(want)):min(i+1, len(want))])
		}
	}
}

// value is that of a field of the form.
func value(t testing.TB, b *Body, name string) string {
	t.Helper()
	for _, f := range fieldsOf(t, b) {
		if f[0] == name {
			return f[len(f)-1]
		}
	}
	t.Fatalf("there is no field %s", name)
	return ""
}

// every is each format in each of its forms.
func every() map[string]Format {
	key := secret.New("key-0123456789")
	return map[string]Format{
		"native": &native{}, "raw": &raw{}, "rails": &rails{}, "postmark": &postmark{}, "postmark with the mail": &postmark{RawEmail: true},
		"cloudevents": &cloudEvents{Mode: structured}, "cloudevents, binary": &cloudEvents{Mode: binaryMode},
		"mailgun": &mailgun{SigningKey: key}, "mailgun with the mail": &mailgun{SigningKey: key, MIME: true},
		"sendgrid": &sendGrid{}, "sendgrid with the mail": &sendGrid{Raw: true},
		"cloudmailin": &cloudMailin{}, "cloudmailin as a form": &cloudMailin{Multipart: true},
	}
}

func TestEveryFormatIsTried(t *testing.T) {
	tried := map[string]bool{}
	for _, f := range every() {
		tried[f.Name()] = true
	}
	for _, name := range Formats() {
		if !tried[name] && name != "template" { // which is what the operator makes of it
			t.Errorf("%s is not", name)
		}
	}
}

// valid holds the body to what its type promises.
func valid(t testing.TB, name string, f Format, b *Body) {
	t.Helper()
	all, err := b.ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if int64(len(all)) != b.Size() {
		t.Errorf("%s: %d octets of a body of %d", name, len(all), b.Size())
	}
	media, _, err := mime.ParseMediaType(b.ContentType)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for field, values := range b.Header {
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
				t.Errorf("%s: %s is %q", name, field, v)
			}
		}
	}
	switch {
	case isJSON(media):
		if !json.Valid(all) || !utf8.Valid(all) || bytes.IndexByte(all, '\n') >= 0 {
			t.Errorf("%s: not JSON in one line of UTF-8", name)
		}
	case media == multipartForm, media == urlencodedForm:
		for _, f := range fieldsOf(t, b) {
			if len(f) == 2 && !utf8.ValidString(f[1]) {
				t.Errorf("%s: %s is not UTF-8", name, f[0])
			}
		}
	case media != "message/rfc822":
		t.Errorf("%s: it is sent as %s", name, media)
	}
	if f.ContentType() != media && f.Name() != "mailgun" {
		t.Errorf("%s: it is sent as %s, not as %s", name, media, f.ContentType())
	}
}

var attempt = time.Date(2026, 11, 23, 12, 5, 0, 0, time.UTC)

// hostileMails are mails that break what is built carelessly from them, beside
// the beginnings of those of sinktest and one that is partly read while it is sent.
func hostileMails() []string {
	attached := func(header string) string {
		return "From: a@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n" + header + "\r\n\r\ndata\r\n--b--\r\n"
	}
	mails := []string{sinktest.Mail, withAttachments(10, LazyFrom)}
	for _, raw := range sinktest.Hostile() {
		mails = append(mails, raw[:min(len(raw), 50_000)])
	}
	return append(mails,
		"From: \"a\\\"\r\n b\" <a@example.com>\r\nTo: =?utf-8?q?x=0D=0ABcc:_evil=40example.com?= <t@example.com>\r\nSubject: \"q\\\"\r\n\r\nt",
		"From: =?utf-8?q?=00=01=1B=7F=C2=85=E2=80=A8?= <a@example.com>\r\nSubject: =?utf-8?b?/w==?=\r\n\r\n\x00",
		"From: \xff\xfe <a@example.com>\r\nTo: \xe9\x80@\xff\r\nSubject: caf\xe9\r\nX-\xe9: \xe9\r\n\r\ncaf\xe9\r\n",
		"Body-Plain: forged\r\nbody-plain: forged\r\ntoken: forged\r\nX-Mailgun-Sflag: No\r\nX[a]: 1\r\nX: 2\r\nX[a][b]: 3\r\n\r\nt",
		strings.Repeat("X-Long: "+strings.Repeat("v", 300)+"\r\n", 300)+"Subject: many\r\n\r\nt",
		"Subject: "+strings.Repeat("s", 50_000)+"\r\n\r\nt",
		"From: "+strings.Repeat("\"n\" <a@example.com>, ", 1000)+"\r\n\r\nt",
		"Return-Path: <a@example.com> (comment\r\n)\r\nDelivered-To: \"a b\"@example.com\r\nDelivered-To: x@example.com, y@example.com\r\n\r\nt",
		attached("Content-Disposition: attachment; filename*=utf-8''%22%0D%0A%0D%0A--b%00"),
		attached("Content-Disposition: attachment; filename=\"\xff\xe9.txt\"\r\nContent-Type: text/\xe9; charset=\"\r\n\""),
		attached("Content-Disposition: attachment; filename=\"a\\\\b/c\\\"; name=\\\"x.exe\""),
		attached("Content-Type: a/b\"; x=y\r\nContent-ID: <\"}],\x00>\r\nContent-Disposition: inline; filename="),
		attached("Content-Type: message/rfc822\r\n\r\nSubject: caf\xe9\r\n\r\ncaf\xe9"),
		"Content-Type: text/html; charset=utf-8\r\n\r\n<script>\"'&\u2028</script>]]>\r\n",
		"Content-Type: multipart/mixed\r\n\r\n--\r\n\r\n\xff\r\n----\r\n",
		"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\n\xff\r\n----\r\n",
	)
}

func TestEveryFormatIsValidWhateverTheMail(t *testing.T) {
	for i, raw := range hostileMails() {
		d := sinktest.Delivery(t, i, raw)
		for name, f := range every() {
			for _, mode := range []Attachments{Auto, Metadata, None} {
				if mode != Auto && len(raw) > 10_000 {
					continue
				}
				b, err := f.Render(d, Options{Attachments: mode, At: attempt})
				if err != nil {
					t.Fatalf("%s of mail %d: %v", name, i, err)
				}
				valid(t, fmt.Sprintf("%s of mail %d with %s", name, i, mode), f, b)
				b.Release()
			}
		}
	}
}

func FuzzEveryFormatIsValidWhateverTheMail(f *testing.F) {
	for _, raw := range hostileMails() {
		f.Add([]byte(raw[:min(len(raw), 4000)]))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := sinktest.Delivery(t, 1, string(raw))
		for name, f := range every() {
			b, err := f.Render(d, Options{At: attempt})
			if err != nil {
				t.Fatal(err)
			}
			valid(t, name, f, b)
			b.Release()
		}
	})
}

// Everything but what a signature covers is the same on every attempt.
func TestEveryAttemptSendsTheSameOctets(t *testing.T) {
	for i, raw := range hostileMails() {
		if len(raw) > 60_000 {
			continue // as good as the others, and slow
		}
		for name, f := range every() {
			first := sinktest.Delivery(t, i, raw)
			again := sinktest.Delivery(t, i, raw)
			again.Attempt = 2
			one, a := body(t, first, f, Options{At: attempt})
			two, b := body(t, again, f, Options{At: attempt.Add(time.Hour)})
			if f.Name() == "mailgun" {
				isSigned := func(f formField) bool { return slices.Contains([]string{"timestamp", "token", "signature"}, f[0]) }
				kept, keptAgain := slices.DeleteFunc(fieldsOf(t, a), isSigned), slices.DeleteFunc(fieldsOf(t, b), isSigned)
				if !reflect.DeepEqual(kept, keptAgain) {
					t.Errorf("%s of mail %d is another one", name, i)
				}
				continue
			}
			if one != two || a.ContentType != b.ContentType || !reflect.DeepEqual(a.Header, b.Header) {
				t.Errorf("%s of mail %d is another one", name, i)
			}
		}
	}
}

func TestAMailThatCannotBeReadIsNotRendered(t *testing.T) {
	for name, f := range every() {
		d := letter(t)
		d.Octets.Close()
		b, err := f.Render(d, Options{Attachments: Inline})
		if err == nil {
			b.Release()
			t.Errorf("%s: no error", name)
		}
	}
}

// Where each attachment goes by itself, a body has that one alone.
func TestABodyOfOneAttachmentHasNoOther(t *testing.T) {
	for name, f := range every() {
		d := letter(t)
		d.Part = "2"
		b, err := f.Render(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		all, _ := b.ReadAll()
		whole := b.ContentType == "message/rfc822" || strings.Contains(name, "with the mail")
		text := string(all)
		if _, form := url.ParseQuery(text); form == nil && strings.HasPrefix(b.ContentType, urlencodedForm) {
			text, _ = url.QueryUnescape(text)
		}
		if !whole && (!strings.Contains(text, "Grüße.txt") || strings.Contains(text, "logo.png") || strings.Contains(text, "part-3")) {
			t.Errorf("%s: %.3000s", name, text)
		}
		b.Release()
	}
}
