package parser

import (
	"os"
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
		{"Latin-1, short", "caf\xe9", "café\n"},
		{"Latin-1", "Z\xfcrich, caf\xe9 cr\xe8me", "Zürich, café crème\n"},
		{"Windows-1252", "\x93quoted\x94 \x96 10 \x80", "“quoted” – 10 €\n"},
		{"UTF-8", "Z\xc3\xbcrich", "Zürich\n"},
		{"Shift_JIS", "\x95\xbd\x91f\x82\xcd\x95\xbe\x8e\xd0\x82\xf0\x82\xb2\x97\x98\x97p\x82\xa2\x82\xbd\x82\xbe\x82\xab\x81A\x90\xbd\x82\xc9\x82\xa0\x82\xe8\x82\xaa\x82\xc6\x82\xa4\x82\xb2\x82\xb4\x82\xa2\x82\xdc\x82\xb7\x81B", "平素は弊社をご利用いただき、誠にありがとうございます。\n"},
		{"EUC-JP", "\xca\xbf\xc1\xc7\xa4\xcf\xca\xc0\xbc\xd2\xa4\xf2\xa4\xb4\xcd\xf8\xcd\xd1\xa4\xa4\xa4\xbf\xa4\xc0\xa4\xad\xa1\xa2\xc0\xbf\xa4\xcb\xa4\xa2\xa4\xea\xa4\xac\xa4\xc8\xa4\xa6\xa4\xb4\xa4\xb6\xa4\xa4\xa4\xde\xa4\xb9\xa1\xa3", "平素は弊社をご利用いただき、誠にありがとうございます。\n"},
		{"Big5", "\xb1z\xa6n\xa1A\xb3o\xacO\xa7\xda\xad\xcc\xa4\xbd\xa5q\xaa\xba\xb7s\xb2\xa3\xab~\xa1A\xc5w\xaa\xef\xb1z\xa8\xd3\xabH\xb8\xdf\xb0\xdd\xa1C", "您好，這是我們公司的新產品，歡迎您來信詢問。\n"},
		{"GBK", "\xc4\xfa\xba\xc3\xa3\xac\xd5\xe2\xca\xc7\xce\xd2\xc3\xc7\xb9\xab\xcb\xbe\xb5\xc4\xd0\xc2\xb2\xfa\xc6\xb7\xa3\xac\xbb\xb6\xd3\xad\xc4\xfa\xc0\xb4\xd0\xc5\xd7\xc9\xd1\xaf\xa1\xa3", "您好，这是我们公司的新产品，欢迎您来信咨询。\n"},
		{"EUC-KR", "\xbe\xc8\xb3\xe7\xc7\xcf\xbc\xbc\xbf\xe4, \xc1\xd6\xb9\xae\xc7\xcf\xbd\xc5 \xbb\xf3\xc7\xb0\xc0\xcc \xbf\xc0\xb4\xc3 \xb9\xdf\xbc\xdb\xb5\xc7\xbe\xfa\xbd\xc0\xb4\xcf\xb4\xd9. \xb0\xa8\xbb\xe7\xc7\xd5\xb4\xcf\xb4\xd9.", "안녕하세요, 주문하신 상품이 오늘 발송되었습니다. 감사합니다.\n"},
		{"Latin-1 in which almost every word has an accent", "\xc9t\xe9 \xe0 c\xf4t\xe9, d\xe9j\xe0 \xf4t\xe9e, pr\xe9f\xe9r\xe9e \xe0 No\xebl", "Été à côté, déjà ôtée, préférée à Noël\n"},
		{"Windows-1253 is no text here, and stays legible as one", "abc \xe1\xe2 def", "abc áâ def\n"},
		{"Windows-1251", "\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0! \xca\xe0\xea \xe4\xe5\xeb\xe0?", "Привет, мир! Как дела?\n"},
	} {
		m := read(t, "From: a@example.com", "", c.body)
		if str(m.Text) != c.want || codes(m) == "" {
			t.Errorf("%s: got %q %q, want %q", c.fact, str(m.Text), codes(m), c.want)
		}
	}
}

func TestTextsOfTheEastWithAWrongLabelAreRead(t *testing.T) {
	octets, err := os.ReadFile("testdata/corpus/jhillyerd-enmime/testdata/parts/chardet-success-big-5.raw")
	if err != nil {
		t.Fatal(err)
	}
	m := parseOctets(t, octets, Limits{}) // labelled us-ascii
	if !strings.HasPrefix(str(m.Text), "顏是家訓  北齊  顏之推\n\n卷第七") || codes(m) != ProblemWrongCharset {
		t.Errorf("got %.60q %q", str(m.Text), codes(m))
	}
}

func TestTextLabelledBase64ThatIsNoneIsReadAsItStands(t *testing.T) {
	for _, c := range []struct{ fact, body, want, codes string }{
		{"words", "This text was never encoded,\r\nwhatever its label says.", "This text was never encoded,\nwhatever its label says.\n", ProblemBadBase64},
		{"words of letters alone", "one two three four\r\nfive six seven eight nine", "one two three four\nfive six seven eight nine\n", ProblemBadBase64},
		{"base64", "SGVsbG8gV29ybGQh", "Hello World!", ""},
		{"base64 with a blank within a line", "SGVsbG8g V29ybGQh", "Hello World!", ""},
		{"base64 with blanks around its lines", " SGVs \r\n bG8g \r\n V29y \r\n bGQh \r\n", "Hello World!", ""},
	} {
		m := read(t, "From: a@example.com", "Content-Type: text/plain", "Content-Transfer-Encoding: base64", "", c.body)
		if str(m.Text) != c.want || codes(m) != c.codes {
			t.Errorf("%s: got %q %q, want %q %q", c.fact, str(m.Text), codes(m), c.want, c.codes)
		}
	}
}
