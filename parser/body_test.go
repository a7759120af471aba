package parser

import (
	"strings"
	"testing"
)

// TestBodiesAreToldAsRFC8621Shows has the message of RFC 8621 section 4.1.4, whose
// parts A to K the RFC sorts by hand: textBody A B C D K, htmlBody A E K,
// attachments C F G H J. C is a picture and no text, so text has only the others.
func TestBodiesAreToldAsRFC8621Shows(t *testing.T) {
	m := read(t,
		"Content-Type: multipart/mixed; boundary=m1", "",
		"--m1", "Content-Type: text/plain", "Content-Disposition: inline", "", "A",
		"--m1", "Content-Type: multipart/mixed; boundary=m2", "",
		"--m2", "Content-Type: multipart/alternative; boundary=a", "",
		"--a", "Content-Type: multipart/mixed; boundary=m3", "",
		"--m3", "Content-Type: text/plain", "Content-Disposition: inline", "", "B",
		"--m3", "Content-Type: image/jpeg", "Content-Disposition: inline", "", "C",
		"--m3", "Content-Type: text/plain", "Content-Disposition: inline", "", "D",
		"--m3--",
		"--a", "Content-Type: multipart/related; boundary=r", "",
		"--r", "Content-Type: text/html", "", "E",
		"--r", "Content-Type: image/jpeg", "", "F",
		"--r--",
		"--a--",
		"--m2", "Content-Type: image/jpeg", "Content-Disposition: attachment", "", "G",
		"--m2", "Content-Type: application/x-excel", "", "H",
		"--m2", "Content-Type: message/rfc822", "", "Subject: J", "", "J",
		"--m2--",
		"--m1", "Content-Type: text/plain", "Content-Disposition: inline", "", "K",
		"--m1--")
	if want := "A\nB\nD\nK"; str(m.Text) != want {
		t.Errorf("text %q, want %q", str(m.Text), want)
	}
	if want := "<pre>A</pre>\nE\n<pre>K</pre>"; str(m.HTML) != want {
		t.Errorf("html %q, want %q", str(m.HTML), want)
	}
	var ids []string
	for i := range m.Attachments {
		ids = append(ids, m.Attachments[i].PartID+":"+content(t, &m.Attachments[i]))
	}
	if got, want := strings.Join(ids, " "), "2.1.1.2:C 2.1.2.2:F 2.2:G 2.3:H 2.4:Subject: J\r\n\r\nJ"; got != want {
		t.Errorf("attachments %q, want %q", got, want)
	}
	if !m.HasAttachment {
		t.Error("hasAttachment is false")
	}
}

// TestMailsOfRFC2046And2049AreRead has the examples of RFC 2046 section 5.1.1 and
// RFC 2049 appendix A.
func TestMailsOfRFC2046And2049AreRead(t *testing.T) {
	m := read(t,
		"From: Nathaniel Borenstein <nsb@bellcore.com>", "To: Ned Freed <ned@innosoft.com>", "Date: Sun, 21 Mar 1993 23:56:48 -0800 (PST)", "Subject: Sample message", "MIME-Version: 1.0",
		`Content-type: multipart/mixed; boundary="simple boundary"`, "",
		"This is the preamble.  It is to be ignored, though it", "is a handy place for composition agents to include an", "explanatory note to non-MIME conformant readers.", "",
		"--simple boundary", "", "This is implicitly typed plain US-ASCII text.", "It does NOT end with a linebreak.",
		"--simple boundary", "Content-type: text/plain; charset=us-ascii", "", "This is explicitly typed plain US-ASCII text.", "It DOES end with a linebreak.", "",
		"--simple boundary--", "", "This is the epilogue.  It is also to be ignored.")
	want := "This is implicitly typed plain US-ASCII text.\nIt does NOT end with a linebreak.\nThis is explicitly typed plain US-ASCII text.\nIt DOES end with a linebreak.\n"
	if str(m.Text) != want || len(m.Attachments) != 0 || m.SentAt.String() != "1993-03-21T23:56:48-08:00" || codes(m) != "" {
		t.Errorf("got %q, %d attachments, %s, %s", str(m.Text), len(m.Attachments), m.SentAt, codes(m))
	}

	m = read(t, "MIME-Version: 1.0", "From: Nathaniel Borenstein <nsb@nsb.fv.com>", "To: Ned Freed <ned@innosoft.com>", "Date: Fri, 07 Oct 1994 16:15:05 -0700 (PDT)", "Subject: A multipart example",
		"Content-Type: multipart/mixed;", `              boundary=unique-boundary-1`, "",
		"This is the preamble area of a multipart message.", "Mail readers that understand multipart format", "should ignore this preamble.", "",
		"--unique-boundary-1", "", "  ... Some text appears here ...", "",
		"--unique-boundary-1", "Content-type: text/plain; charset=US-ASCII", "", "This could have been part of the previous part, but", "illustrates explicit versus implicit typing of body", "parts.", "",
		"--unique-boundary-1", "Content-Type: multipart/parallel; boundary=unique-boundary-2", "",
		"--unique-boundary-2", "Content-Type: audio/basic", "Content-Transfer-Encoding: base64", "", "QUJD", "",
		"--unique-boundary-2", "Content-Type: image/jpeg", "Content-Transfer-Encoding: base64", "", "REVG", "", "--unique-boundary-2--", "",
		"--unique-boundary-1", "Content-type: text/enriched", "", "This is <bold><italic>enriched.</italic></bold>", "",
		"--unique-boundary-1", "Content-Type: message/rfc822", "", "From: (mailbox in US-ASCII)", "To: (address in US-ASCII)", "Subject: (subject in US-ASCII)", "Content-Type: Text/plain; charset=ISO-8859-1",
		"Content-Transfer-Encoding: Quoted-printable", "", "  ... Additional text in ISO-8859-1 goes here ...", "",
		"--unique-boundary-1--")
	var types []string
	for _, a := range m.Attachments {
		types = append(types, a.PartID+" "+a.Type)
	}
	if got, want := strings.Join(types, ", "), "3.1 audio/basic, 3.2 image/jpeg, 4 text/enriched, 5 message/rfc822"; got != want {
		t.Errorf("attachments %s, want %s", got, want)
	}
	if a := m.Attachments[0]; content(t, &a) != "ABC" {
		t.Errorf("the sound is %q", content(t, &a))
	}
	if !strings.HasPrefix(str(m.Text), "  ... Some text appears here ...\n") || !strings.HasSuffix(str(m.Text), "\nparts.\n") {
		t.Errorf("text %q", str(m.Text))
	}
}

func TestInlineIsToldByUse(t *testing.T) {
	picture := func(disposition, cid string) []string {
		return []string{"--b", "Content-Type: image/png; name=a.png", "Content-Disposition: " + disposition, "Content-ID: <" + cid + ">", "", "x"}
	}
	for _, c := range []struct {
		fact, html, disposition, cid string
		has                          bool
	}{
		{"shown by the HTML", "<img src='cid:a@b'>", "inline", "a@b", false},
		{"shown by the HTML, labelled attachment", "<img src='cid:a@b'>", "attachment", "a@b", false},
		{"shown by the HTML, percent-encoded (RFC 2392)", "<img src='cid:a%40b'>", "inline", "a@b", false},
		{"shown by the HTML, escaped", "<img src='cid:a&amp;b'>", "inline", "a&b", false},
		{"shown by the HTML, upper case scheme", "<img src='CID:a@b'>", "inline", "a@b", false},
		{"labelled inline, but shown nowhere", "<p>x", "inline", "a@b", true},
		{"an id that only begins alike", "<img src='cid:a@bc'>", "inline", "a@b", true},
	} {
		lines := append([]string{"Content-Type: multipart/related; boundary=b", "", "--b", "Content-Type: text/html", "", c.html}, picture(c.disposition, c.cid)...)
		m := read(t, append(lines, "--b--")...)
		if len(m.Attachments) != 1 || m.HasAttachment != c.has || str(m.Attachments[0].Disposition) != c.disposition || str(m.Attachments[0].CID) != c.cid {
			t.Errorf("%s: %d attachments, hasAttachment %v", c.fact, len(m.Attachments), m.HasAttachment)
		}
	}
}

func TestWhatIsTextAndWhatIsAttached(t *testing.T) {
	for _, c := range []struct {
		fact        string
		lines       []string
		text, html  string
		attachments string
		has         bool
	}{
		{"plain text", []string{"", "hello"}, "hello\n", "<nil>", "", false},
		{"HTML alone makes text", []string{"Content-Type: text/html", "", "<p>hello</p>"}, "hello", "<p>hello</p>\n", "", false},
		{"a text that is attached", []string{"Content-Type: text/plain", "Content-Disposition: attachment", "", "hello"}, "<nil>", "<nil>", "1 text/plain", true},
		{"an alternative", []string{"Content-Type: multipart/alternative; boundary=b", "", "--b", "", "plain", "--b", "Content-Type: text/html", "", "<b>rich</b>", "--b--"}, "plain", "<b>rich</b>", "", false},
		{"an alternative whose text is empty", []string{"Content-Type: multipart/alternative; boundary=b", "", "--b", "", "", "--b", "Content-Type: text/html", "", "<b>rich</b>", "--b--"}, "rich", "<b>rich</b>", "", false},
		{"a text with a name that is not the first", []string{"Content-Type: multipart/mixed; boundary=b", "", "--b", "", "a", "--b", "Content-Type: text/plain; name=b.txt", "", "b", "--b--"}, "a", "<nil>", "2 text/plain", true},
		{"a signature", []string{"Content-Type: multipart/signed; boundary=b", "", "--b", "", "a", "--b", "Content-Type: application/pgp-signature", "", "b", "--b--"}, "a", "<nil>", "2 application/pgp-signature", false},
		{"a calendar in an alternative", []string{"Content-Type: multipart/alternative; boundary=b", "", "--b", "", "a", "--b", "Content-Type: text/calendar", "", "BEGIN:VCALENDAR", "END:VCALENDAR", "--b--"}, "a", "<nil>", "2 text/calendar", true},
		{"a mail alone", []string{"Content-Type: message/rfc822", "", "Subject: x", "", "a"}, "<nil>", "<nil>", "1 message/rfc822", true},
		{"a digest (RFC 2046 section 5.1.5)", []string{"Content-Type: multipart/digest; boundary=b", "", "--b", "", "Subject: x", "", "a", "--b--"}, "<nil>", "<nil>", "1 message/rfc822", true},
		{"nothing", []string{""}, "", "<nil>", "", false},
		{"an empty multipart", []string{"Content-Type: multipart/mixed; boundary=b", "", "--b--"}, "<nil>", "<nil>", "", false},
	} {
		m := read(t, append([]string{"From: a@example.com"}, c.lines...)...)
		var list []string
		for _, a := range m.Attachments {
			list = append(list, a.PartID+" "+a.Type)
		}
		if str(m.Text) != c.text || str(m.HTML) != c.html || strings.Join(list, ", ") != c.attachments || m.HasAttachment != c.has {
			t.Errorf("%s:\n got %q %q %q %v\nwant %q %q %q %v", c.fact, str(m.Text), str(m.HTML), list, m.HasAttachment, c.text, c.html, c.attachments, c.has)
		}
	}
}

func TestPreviewIsOneLineOf256Characters(t *testing.T) {
	m := read(t, "Content-Type: text/plain; charset=utf-8", "", "  a\r\n\r\n b\tc "+strings.Repeat("ä", 400))
	if want := "a b c " + strings.Repeat("ä", 250); m.Preview != want {
		t.Errorf("got %q", m.Preview)
	}
	m = read(t, "Content-Type: text/html", "", "<a href='https://example.com/very/long'>Read</a> this")
	if m.Preview != "Read this" || str(m.Text) != "Read <https://example.com/very/long> this" {
		t.Errorf("preview %q, text %q", m.Preview, str(m.Text))
	}
}
