package payload

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks/sinktest"
	"github.com/postferry/postferry/spool"
)

// mailAsText is the mail as mailText writes it; writing twice gives the same.
func mailAsText(t testing.TB, raw string) string {
	t.Helper()
	m, err := newMailText(spool.NewOctets([]byte(raw)), false)
	if err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	if err := m.write(&one); err != nil {
		t.Fatal(err)
	}
	if err := m.write(&two); err != nil || one.String() != two.String() {
		t.Fatalf("the second time it is another: %v", err)
	}
	if n := m.size(); n >= 0 && n != int64(one.Len()) {
		t.Fatalf("%d octets of %d", one.Len(), n)
	}
	return one.String()
}

func TestAMailInUTF8IsWrittenOctetForOctet(t *testing.T) {
	for _, raw := range []string{"", sinktest.Mail, "Subject: caf\u00e9\n\n\x00\x01\r🚢" + strings.Repeat("€", 40_000)} {
		if got := mailAsText(t, raw); got != raw {
			t.Errorf("%.100q is %.100q", raw, got)
		}
	}
}

// RFC 2045, section 6.7.
func TestOtherOctetsAreInQuotedPrintable(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{
		{"a text in 8bit",
			"Subject: s\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\xe9 = 1 \r\nb\r\n",
			"Subject: s\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9 =3D 1=20\r\nb\r\n"},
		{"a text that says nothing, with LF",
			"Subject: s\n\ncaf\xe9\n",
			"Subject: s\nContent-Transfer-Encoding: quoted-printable\n\ncaf=E9\n"},
		{"one part of two",
			"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nplain = text\r\n--b\r\nContent-Type: image/x\r\nContent-Transfer-Encoding:\r\n binary\r\n\r\n\xff\x00\r=\r\n--b--\r\nend\r\n",
			"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nplain = text\r\n--b\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=FF=00=0D=3D\r\n--b--\r\nend\r\n"},
		{"a mail within a mail",
			"Content-Type: multipart/digest; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ncaf\xe9\r\n--b--",
			"Content-Type: multipart/digest; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\n--b--"},
		{"where no encoding is possible",
			"Subject: caf\xe9\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npre\xff\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAA\xff\xfeAA\r\n--b--\r\n\xff",
			"Subject: caf?\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npre?\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n?"},
		{"a multipart whose parts cannot be told",
			"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\n\xff\r\n",
			"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\n?\r\n"},
		{"a boundary that breaks the rules",
			"Content-Type: multipart/mixed; boundary=a b; x=\"\r\n\r\n--a b\r\n\r\n\xff\r\n--a b--\r\n",
			"Content-Type: multipart/mixed; boundary=a b; x=\"\r\n\r\n--a b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=FF\r\n--a b--\r\n"},
	} {
		if got := mailAsText(t, c.raw); got != c.want {
			t.Errorf("%s:\n%q, not\n%q", c.name, got, c.want)
		}
	}
}

// The mail means the same to who reads it: the same texts and the same octets of
// attachments.
func TestTheMailMeansTheSame(t *testing.T) {
	long := strings.Repeat("caf\xe9 ", 50_000)
	mails := []string{
		"Subject: s\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\xe9\t\r\n" + long + "\r\n.\r\n",
		"Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=windows-1252\r\n\r\n\x80 caf\xe9\r\n" +
			"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\nContent-Disposition: attachment; filename=x\r\n\r\n\xff\x00\r\n\r\n=3D \n" + long + "\r\n" +
			"--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=y\r\n\r\nJVBERi0=\r\n--b--\r\n",
	}
	err := filepath.WalkDir("../../parser/testdata/corpus", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".eml" {
			return err
		}
		raw, err := os.ReadFile(file)
		if !utf8.Valid(raw) {
			mails = append(mails, string(raw))
		}
		return err
	})
	if err != nil || len(mails) < 5 {
		t.Fatalf("%d mails, %v", len(mails), err)
	}
	for i, raw := range mails {
		got := mailAsText(t, raw)
		if !utf8.ValidString(got) {
			t.Errorf("mail %d is not UTF-8", i)
		}
		a, b := parsed(t, raw), parsed(t, got)
		if text(a.Text) != text(b.Text) || text(a.HTML) != text(b.HTML) {
			t.Errorf("mail %d reads %.300q, not %.300q", i, text(b.Text), text(a.Text))
		}
		if len(a.Attachments) != len(b.Attachments) {
			t.Errorf("mail %d has %d attachments, not %d", i, len(b.Attachments), len(a.Attachments))
			continue
		}
		for j := range a.Attachments {
			if x, y := a.Attachments[j], b.Attachments[j]; x.SHA256 != y.SHA256 && x.Type != "message/rfc822" {
				t.Errorf("mail %d: attachment %s, %s, has other octets", i, x.PartID, x.Type)
			}
		}
	}
}

func parsed(t testing.TB, raw string) *parser.Message {
	t.Helper()
	o := spool.NewOctets([]byte(raw))
	m, err := parser.Parse(o, o.Size(), parser.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestUTF8IsToldHoweverItIsRead(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "a": true, strings.Repeat("x", 32<<10-1) + "🚢": true, strings.Repeat("🚢", 20_000): true,
		"\xe2\x82": false, "\xff": false, strings.Repeat("x", 32<<10) + "\x80": false, "\xe2\x28\xa1": false, "\xed\xa0\x80": false, "a\xf0\x9f": false,
	} {
		for _, r := range []bool{true, false} {
			in := iotest.OneByteReader(strings.NewReader(s))
			if r {
				in = strings.NewReader(s)
			}
			if got, err := isUTF8(in); got != want || err != nil {
				t.Errorf("%.20q is %v, %v", s, got, err)
			}
		}
	}
	if _, err := isUTF8(iotest.ErrReader(os.ErrClosed)); err == nil {
		t.Error("a source that fails gives no error")
	}
}

// With LF at the ends of lines a mail means the same as well, binary parts included.
func TestAMailWithLFMeansTheSame(t *testing.T) {
	withLF := func(raw string) string {
		m, err := newMailText(spool.NewOctets([]byte(raw)), true)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := m.write(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for raw, want := range map[string]string{
		"Subject: s\r\n\r\na\rb\r\r\nc\nd\r": "Subject: s\n\na\rb\r\nc\nd\r",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: binary\r\n\r\na\r\nb\r\n\r\n--b--\r\n": "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: quoted-printable\n\na=0D=0Ab=0D=0A\n--b--\n",
	} {
		if got := withLF(raw); got != want {
			t.Errorf("%q is\n%q, not\n%q", raw, got, want)
		}
	}
	binary := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\nContent-Disposition: attachment\r\n\r\n" +
		strings.Repeat("\x00\r\n\xff\n\r-- ", 20_000) + "\r\n--b--\r\n"
	for i, raw := range []string{sinktest.Mail, binary} {
		a, b := parsed(t, raw), parsed(t, withLF(raw))
		if text(a.Text) != text(b.Text) || len(b.Attachments) != 1 || a.Attachments[0].SHA256 != b.Attachments[0].SHA256 {
			t.Errorf("mail %d reads %q, %+v", i, text(b.Text), b.Attachments)
		}
	}
}

func FuzzAMailAsTextIsUTF8(f *testing.F) {
	for _, raw := range hostileMails() {
		f.Add([]byte(raw[:min(len(raw), 4000)]))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := mailAsText(t, string(raw))
		if !utf8.ValidString(got) {
			t.Errorf("%q is not UTF-8", got)
		}
		if utf8.Valid(raw) && got != string(raw) {
			t.Errorf("%q is %q", raw, got)
		}
	})
}
