package parser

import (
	"strings"
	"testing"
)

func TestStructureIsMended(t *testing.T) {
	type lines = []string
	for _, c := range []struct {
		fact        string
		lines       lines
		subject     string
		text        string
		attachments string
		codes       string
	}{
		{"a boundary with specials and no quotes", lines{"Content-Type: multipart/mixed; boundary=a?b:c/d", "", "--a?b:c/d", "", "x", "--a?b:c/d--"}, "s", "x", "", ""},
		{"white space after the boundary", lines{"Content-Type: multipart/mixed; boundary=b", "", "--b  ", "", "x", "--b-- "}, "s", "x", "", ""},
		{"no closing boundary", lines{"Content-Type: multipart/mixed; boundary=b", "", "--b", "", "x"}, "s", "x\n", "", ProblemUnclosed},
		{"an inner multipart not closed", lines{"Content-Type: multipart/mixed; boundary=o", "", "--o", "Content-Type: multipart/alternative; boundary=i", "", "--i", "", "x", "--o", "Content-Type: image/png", "", "p", "--o--"}, "s", "x", "2 image/png p", ProblemUnclosed},
		{"one boundary nested", lines{"Content-Type: multipart/mixed; boundary=b", "", "--b", "Content-Type: multipart/alternative; boundary=b", "", "--b", "", "x", "--b--", "--b--"}, "s", "x", "", ""},
		{"one boundary nested, and the inner one has two parts", lines{"Content-Type: multipart/mixed; boundary=b", "", "--b", "Content-Type: multipart/mixed; boundary=b", "", "--b", "", "x", "--b", "Content-Type: image/png", "", "p", "--b--", "--b--"}, "s", "x", "1.2 image/png p", ""},
		{"a boundary that begins like another", lines{"Content-Type: multipart/mixed; boundary=b", "", "--b", "Content-Type: multipart/mixed; boundary=bb", "", "--bb", "", "x", "--bb", "Content-Type: image/png", "", "p", "--bb--", "--b--"}, "s", "x", "1.2 image/png p", ""},
		{"no boundary named", lines{"Content-Type: multipart/mixed", "", "--b", "Content-Type: text/plain", "", "x", "--b--"}, "s", "x", "", ProblemNoBoundary},
		{"an empty boundary", lines{`Content-Type: multipart/mixed; boundary=""`, "", "--b", "Content-Type: text/plain", "", "x", "--b--"}, "s", "x", "", ProblemNoBoundary},
		{"the wrong boundary", lines{"Content-Type: multipart/mixed; boundary=a", "", "--b", "Content-Type: text/plain", "", "x", "--b--"}, "s", "x", "", ProblemWrongBoundary},
		{"the wrong boundary, and a header that the outer one cuts short", lines{"Content-Type: multipart/mixed; boundary=o:1", "", "--o:1", "Content-Type: multipart/mixed; boundary=a", "", "--b", "Content-", "--o:1", "", "x", "--o:1--"}, "s", "x", "", strings.Join([]string{ProblemWrongBoundary, ProblemBadHeaderLine, ProblemNoBlankLine, ProblemUnclosed}, " ")},
		{"a multipart that is text", lines{"Content-Type: multipart/mixed; boundary=a", "", "just text"}, "s", "just text\n", "", ProblemNoParts},
		{"parts after the end", lines{"Content-Type: multipart/mixed; boundary=b", "", "--b", "", "x", "--b--", "--b", "Content-Type: image/png", "", "p", "--b--"}, "s", "x", "2 image/png p", ProblemAfterClose},
		{"a part without a header", lines{"Content-Type: multipart/mixed; boundary=b", "", "--b", "", "x", "--b--"}, "s", "x", "", ""},
		{"a part without a blank line", lines{"Content-Type: multipart/mixed; boundary=b", "", "--b", "Content-Type: image/png", "--b", "", "x", "--b--"}, "s", "x", "1 image/png ", ProblemNoBlankLine},
		{"an empty part", lines{"Content-Type: multipart/mixed; boundary=b", "", "--b", "", "--b", "", "x", "--b--"}, "s", "x", "", ""},
		{"a line without a colon", lines{"this is junk", "X-A: b", "", "x"}, "s", "x\n", "", ProblemBadHeaderLine},
		{"the blank line before the body is missing", lines{"this is the body", "it goes on"}, "s", "this is the body\nit goes on\n", "", ProblemNoBlankLine},
		{"odd octets in a field's name", lines{"X-\xc3\xa4: b", "", "x"}, "s", "x\n", "", ""},
		{"white space before the colon", lines{"X-A : b", "", "x"}, "s", "x\n", "", ""},
		{"two types", lines{"Content-Type: text/plain", "Content-Type: text/html", "", "x"}, "s", "x\n", "", ProblemDuplicateField},
		{"NUL", lines{"", "x\x00y"}, "s", "xy\n", "", ProblemNUL},
		{"a byte order mark in the text", lines{"Content-Type: text/plain; charset=utf-8", "", "\xef\xbb\xbfx"}, "s", "x\n", "", ""},
	} {
		m := read(t, append(lines{"Subject: " + c.subject}, c.lines...)...)
		var list []string
		for i := range m.Attachments {
			a := &m.Attachments[i]
			list = append(list, a.PartID+" "+a.Type+" "+content(t, a))
		}
		if got := strings.Join(list, ", "); str(m.Subject) != c.subject || str(m.Text) != c.text || got != c.attachments || codes(m) != c.codes {
			t.Errorf("%s:\n got %q %q %q\nwant %q %q %q", c.fact, str(m.Text), got, codes(m), c.text, c.attachments, c.codes)
		}
	}
}

func TestLineEndsAndWhatStandsBeforeTheHeader(t *testing.T) {
	plain := "Subject: s\r\nFrom: a@example.com\r\n\r\nline one\r\nline two\r\n"
	for _, c := range []struct{ fact, mail, codes string }{
		{"CRLF", plain, ""},
		{"LF", strings.ReplaceAll(plain, "\r\n", "\n"), ""},
		{"CR", strings.ReplaceAll(plain, "\r\n", "\r"), ProblemBareCR},
		{"CR CR LF", strings.ReplaceAll(plain, "\r\n", "\r\r\n"), ""},
		{"a byte order mark", "\xef\xbb\xbf" + plain, ""},
		{"blank lines", "\r\n\r\n" + plain, ""},
		{"an mbox line", "From a@example.com Tue Nov 24 10:00:00 2026\r\n" + plain, ProblemMboxLine},
		{"a quoted mbox line", ">From a@example.com Tue Nov 24 10:00:00 2026\r\n" + plain, ProblemMboxLine},
		{"a line that begins with a blank", " folded from nowhere\r\n" + plain, ProblemBadHeaderLine},
	} {
		m := parseOctets(t, []byte(c.mail), Limits{})
		text := strings.ReplaceAll(str(m.Text), "\n\n", "\n")
		if str(m.Subject) != "s" || show(m.From) != "a@example.com" || text != "line one\nline two\n" || codes(m) != c.codes {
			t.Errorf("%s: got %q %s %q %q, want %q", c.fact, str(m.Subject), show(m.From), str(m.Text), codes(m), c.codes)
		}
	}
}

func TestMailWithoutAHeaderIsBody(t *testing.T) {
	m := parseOctets(t, []byte("\r\nhello\r\n"), Limits{})
	if str(m.Text) != "hello\n" || codes(m) != ProblemNoHeader {
		t.Errorf("got %q %q", str(m.Text), codes(m))
	}
	m = parseOctets(t, []byte("Here is my answer\r\n\r\nSent from my phone\r\n"), Limits{})
	if str(m.Text) != "Here is my answer\n\nSent from my phone\n" || codes(m) != ProblemNoHeader {
		t.Errorf("got %q %q", str(m.Text), codes(m))
	}
	if m := parseOctets(t, nil, Limits{}); str(m.Text) != "" || m.Thread.Key == "" {
		t.Errorf("no octets: got %q", str(m.Text))
	}
}

func TestFoldedFieldsAreJoined(t *testing.T) {
	m := read(t, "Subject: one", " two", "\tthree", "X-Empty:", "", "x")
	if str(m.Subject) != "one two three" || len(m.Headers) != 2 || m.Headers[1] != (Header{"X-Empty", ""}) {
		t.Errorf("got %q %v", str(m.Subject), m.Headers)
	}
}

func TestLimitsCutAndSaySo(t *testing.T) {
	for _, c := range []struct {
		fact  string
		lim   Limits
		mail  string
		codes string
	}{
		{"parts", Limits{Parts: 2}, "Content-Type: multipart/mixed; boundary=b\n\n--b\n\na\n--b\n\nb\n--b--\n", ProblemLimitParts},
		{"depth", Limits{Depth: 1}, "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--c--\n--b--\n", ProblemLimitDepth},
		{"header fields", Limits{HeaderFields: 1}, "A: b\nC: d\n\nx", ProblemLimitHeaderFields},
		{"header size", Limits{HeaderBytes: 5}, "A: b\nC: d\n\nx", ProblemLimitHeaderSize},
		{"header size of all", Limits{TotalHeaderBytes: 5}, "A: b\nC: d\n\nx", ProblemLimitHeaderSize},
		{"addresses", Limits{Addresses: 1}, "To: a@b, c@d\n\nx", ProblemLimitAddresses},
		{"parameters", Limits{Params: 1}, "Content-Type: text/plain; a=b; c=d\n\nx", ProblemLimitParams},
		{"text", Limits{Text: 2}, "A: b\n\nxyz", ProblemLimitText},
		{"a calendar", Limits{Nested: 2}, "Content-Type: text/calendar\n\nBEGIN:VCALENDAR\nEND:VCALENDAR\n", ProblemLimitNested + " " + ProblemBadCalendar},
		{"problems", Limits{Problems: 1}, "Date: never\nFrom: a\n\nx", ProblemBadAddress + " " + ProblemLimitProblems},
	} {
		m := parseOctets(t, []byte(c.mail), c.lim)
		checkMessage(t, m)
		if codes(m) != c.codes {
			t.Errorf("%s: got %q, want %q", c.fact, codes(m), c.codes)
		}
	}
}
