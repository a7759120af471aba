package parser

import (
	"strings"
	"testing"
)

// Parts that are neither text nor an ordinary file, each where its clients put it.
func TestPartsOfSpecialKindsAreAttachments(t *testing.T) {
	type lines = []string
	mixed := func(parts ...lines) lines {
		all := lines{"From: a@example.com", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=m", ""}
		for _, p := range parts {
			all = append(append(all, "--m"), p...)
		}
		return append(all, "--m--")
	}
	for _, c := range []struct {
		fact        string
		lines       lines
		text        string
		attachments string
		has         bool
	}{
		{"the two forks of a Macintosh's file (RFC 1740)", mixed(lines{"", "x"},
			lines{`Content-Type: multipart/appledouble; boundary=d`, "", "--d", "Content-Type: application/applefile; name=a.pdf", "", "f", "--d", "Content-Type: application/pdf; name=a.pdf", "Content-Disposition: attachment; filename=a.pdf", "", "p", "--d--"}),
			"x", "2.1 application/applefile a.pdf f, 2.2 application/pdf a.pdf p", true},
		{"a mail with UTF-8 in its header (RFC 6532)", mixed(lines{"", "x"}, lines{"Content-Type: message/global", "", "Subject: ä", "", "y"}),
			"x", "2 message/global <nil> Subject: ä\r\n\r\ny", true},
		{"PGP/MIME, encrypted (RFC 3156 section 4)", lines{"From: a@example.com", `Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=e`, "",
			"--e", "Content-Type: application/pgp-encrypted", "", "Version: 1", "--e", "Content-Type: application/octet-stream; name=encrypted.asc", "Content-Disposition: inline; filename=encrypted.asc", "", "secret", "--e--"},
			"<nil>", "1 application/pgp-encrypted <nil> Version: 1, 2 application/octet-stream encrypted.asc secret", true},
		{"S/MIME, encrypted (RFC 8551 section 3.3)", lines{"From: a@example.com", "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", "Content-Transfer-Encoding: base64", "Content-Disposition: attachment; filename=smime.p7m", "", "QUJD"},
			"<nil>", "1 application/pkcs7-mime smime.p7m ABC", true},
		{"Apple Mail's PDF between two texts", mixed(lines{"Content-Type: text/plain", "", "before", ""}, lines{"Content-Type: application/pdf; name=a.pdf", "Content-Disposition: inline; filename=a.pdf", "", "p"}, lines{"Content-Type: text/plain", "", "after"}),
			"before\n\nafter", "2 application/pdf a.pdf p", true},
		{"a picture with a name between two texts", mixed(lines{"", "before", ""}, lines{"Content-Type: image/png; name=a.png", "Content-Disposition: inline; filename=a.png", "", "p"}, lines{"", "after"}),
			"before\n\nafter", "2 image/png a.png p", true},
		{"filename and name that differ", mixed(lines{"", "x"}, lines{"Content-Type: application/pdf; name=wrong.pdf", "Content-Disposition: attachment; filename=right.pdf", "", "p"}),
			"x", "2 application/pdf right.pdf p", true},
		{"name alone", mixed(lines{"", "x"}, lines{"Content-Type: application/pdf; name=a.pdf", "", "p"}),
			"x", "2 application/pdf a.pdf p", true},
		{"the header of a mail that came back (RFC 6522)", lines{"From: a@example.com", "Content-Type: multipart/report; report-type=delivery-status; boundary=m", "", "--m", "", "x", "--m", "Content-Type: text/rfc822-headers", "", "Subject: s", "--m--"},
			"x", "2 text/rfc822-headers <nil> Subject: s", false},
	} {
		m := read(t, c.lines...)
		var got []string
		for i := range m.Attachments {
			a := &m.Attachments[i]
			got = append(got, strings.Join([]string{a.PartID, a.Type, str(a.Name), content(t, a)}, " "))
		}
		if str(m.Text) != c.text || strings.Join(got, ", ") != c.attachments || m.HasAttachment != c.has || codes(m) != "" {
			t.Errorf("%s:\n got %q %q %v %q\nwant %q %q %v", c.fact, str(m.Text), got, m.HasAttachment, codes(m), c.text, c.attachments, c.has)
		}
	}
}

func TestTextsWithoutALabelAreRead(t *testing.T) {
	for _, c := range []struct{ fact, body, want string }{
		{"Latin-1", "Z\xfcrich, caf\xe9 cr\xe8me", "Zürich, café crème\n"},
		{"Windows-1252", "\x93quoted\x94 \x96 10 \x80", "“quoted” – 10 €\n"},
		{"UTF-8", "Z\xc3\xbcrich", "Zürich\n"},
		{"Windows-1251", "\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0! \xca\xe0\xea \xe4\xe5\xeb\xe0?", "Привет, мир! Как дела?\n"},
	} {
		m := read(t, "From: a@example.com", "", c.body)
		if str(m.Text) != c.want || codes(m) == "" {
			t.Errorf("%s: got %q %q, want %q", c.fact, str(m.Text), codes(m), c.want)
		}
	}
}
