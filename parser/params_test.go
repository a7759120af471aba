package parser

import (
	"strings"
	"testing"
)

// TestParametersAreReadAsRFC2231Shows has the examples of RFC 2231 sections 3 and 4.
func TestParametersAreReadAsRFC2231Shows(t *testing.T) {
	for _, c := range []struct{ in, name, want string }{
		{"message/external-body; access-type=URL;\r\n URL*0=\"ftp://\";\r\n URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"", "url", "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar"},
		{"application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", "title", "This is ***fun***"},
		{"application/x-stuff\r\n ;title*0*=us-ascii'en'This%20is%20even%20more%20;title*1*=%2A%2A%2Afun%2A%2A%2A%20;title*2=\"isn't it!\"", "title", "This is even more ***fun*** isn't it!"},
	} {
		p := &parse{msg: newMessage(0), lim: DefaultLimits()}
		_, ps := p.readParams(strings.ReplaceAll(c.in, "\r\n", ""), "header")
		if got := ps.get(c.name); got != c.want || codes(p.msg) != "" {
			t.Errorf("%s\n got %q %q\nwant %q", c.in, got, codes(p.msg), c.want)
		}
	}
}

func TestFileNamesAreReadHoweverTheyAreWritten(t *testing.T) {
	for _, c := range []struct{ fact, disposition, want, codes string }{
		{"a token", "attachment; filename=a.pdf", "a.pdf", ""},
		{"a quoted-string", `attachment; filename="a b.pdf"`, "a b.pdf", ""},
		{"quoted pairs", `attachment; filename="a\"b.pdf"`, `a"b.pdf`, ""},
		{"a path of Windows", `attachment; filename="C:\temp\a.pdf"`, `C:\temp\a.pdf`, ""},
		{"white space without quotes", "attachment; filename=a b c.pdf", "a b c.pdf", ""},
		{"white space without quotes and a parameter after it", "attachment; filename=a b.pdf; size=3", "a b.pdf", ""},
		{"no closing quote", `attachment; filename="a b.pdf`, "a b.pdf", ProblemBadParameter},
		{"a comment", "attachment (yes); filename=a.pdf (really)", "a.pdf", ""},
		{"an encoded-word", "attachment; filename==?utf-8?Q?=C3=A4.pdf?=", "ä.pdf", ""},
		{"an encoded-word in quotes", `attachment; filename="=?utf-8?B?w6QucGRm?="`, "ä.pdf", ""},
		{"two encoded-words in quotes", `attachment; filename="=?utf-8?Q?=C3=A4?= =?utf-8?Q?.pdf?="`, "ä.pdf", ""},
		{"Latin-1 (RFC 2231)", "attachment; filename*=iso-8859-1''%E4.pdf", "ä.pdf", ""},
		{"GB 2312 (RFC 2231)", "attachment; filename*=gb2312''%C4%E3.pdf", "你.pdf", ""},
		{"an empty charset (RFC 2231)", "attachment; filename*=''%C3%A4.pdf", "ä.pdf", ProblemRaw8Bit},
		{"the extended form beside the plain one", "attachment; filename=a.pdf; filename*=utf-8''%C3%A4.pdf", "ä.pdf", ""},
		{"pieces out of order", "attachment; filename*1=b.pdf; filename*0=a", "ab.pdf", ""},
		{"a piece missing", "attachment; filename*0=a; filename*2=c.pdf", "ac.pdf", ProblemBadParameter},
		{"a character cut in two between pieces", "attachment; filename*0*=utf-8''%C3; filename*1*=%A4.pdf", "ä.pdf", ""},
		{"twice", "attachment; filename=a.pdf; filename=b.pdf", "a.pdf", ProblemBadParameter},
		{"raw UTF-8", "attachment; filename=\"\xc3\xa4.pdf\"", "ä.pdf", ProblemRaw8Bit},
		{"raw Latin-1", "attachment; filename=\"\xe4.pdf\"", "ä.pdf", ProblemRaw8Bit},
		{"name instead of filename", "attachment; name=a.pdf", "a.pdf", ""},
		{"no semicolon", "attachment filename=a.pdf", "a.pdf", ProblemBadParameter},
		{"no disposition", "filename=a.pdf", "a.pdf", ""},
		{"a semicolon at the end", "attachment; filename=a.pdf;", "a.pdf", ""},
		{"white space around the equals sign", "attachment; filename = a.pdf", "a.pdf", ""},
		{"upper case", "ATTACHMENT; FILENAME=A.pdf", "A.pdf", ""},
	} {
		m := read(t, "From: a@example.com", "Content-Type: application/pdf", "Content-Disposition: "+c.disposition, "", "x")
		if len(m.Attachments) != 1 {
			t.Errorf("%s: %d attachments", c.fact, len(m.Attachments))
			continue
		}
		if a := m.Attachments[0]; str(a.Name) != c.want || str(a.Disposition) != "attachment" || codes(m) != c.codes {
			t.Errorf("%s: got %q %s %q, want %q %q", c.fact, str(a.Name), str(a.Disposition), codes(m), c.want, c.codes)
		}
	}
}

func TestMediaTypesAreReadHoweverTheyAreWritten(t *testing.T) {
	for _, c := range []struct{ fact, in, want, charset string }{
		{"plain", "text/html; charset=utf-8", "text/html", "utf-8"},
		{"upper case", "TEXT/HTML; CHARSET=UTF-8", "text/html", "UTF-8"},
		{"a comment", "text/html (web); charset=(what) utf-8 (this)", "text/html", "utf-8"},
		{"quotes", `text/html; charset="utf-8"`, "text/html", "utf-8"},
		{"one half (RFC 2045 section 5.2)", "text", "text/plain", ""},
		{"no semicolon", "text/html charset=utf-8", "text/html", "utf-8"},
		{"white space around the slash", "text / html", "text/html", ""},
		{"nothing", "", "text/plain", ""},
		{"junk after it", "text/html, text/plain", "text/html", ""},
	} {
		p := &parse{msg: newMessage(0), lim: DefaultLimits()}
		pt := &part{header: header{newField("Content-Type", c.in)}}
		p.describe(pt, nil)
		if pt.mediaType != c.want || pt.params.get("charset") != c.charset {
			t.Errorf("%s: got %q %q, want %q %q", c.fact, pt.mediaType, pt.params.get("charset"), c.want, c.charset)
		}
	}
}
