package parser

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// newParse is a parse for the readers of one kind of value.
func newParse() *parse { return &parse{msg: newMessage(0), lim: DefaultLimits().withDefaults()} }

// seedCorpus gives the fuzzer the small mails of the corpus.
func seedCorpus(f *testing.F) {
	f.Helper()
	n := 0
	for _, mail := range corpus(f) {
		if len(mail) < 2000 && n < 200 {
			f.Add(mail)
			n++
		}
	}
}

func FuzzParse(f *testing.F) {
	seedCorpus(f)
	for _, c := range hostileMails {
		f.Add(c.make(300))
	}
	f.Fuzz(func(t *testing.T, mail []byte) {
		checkMessage(t, parseOctets(t, mail, Limits{AuthservIDs: []string{"mx.example.com"}}))
	})
}

// FuzzLimits parses under limits so small that each of them cuts.
func FuzzLimits(f *testing.F) {
	seedCorpus(f)
	lim := Limits{Depth: 2, Parts: 4, HeaderFields: 4, HeaderBytes: 200, TotalHeaderBytes: 500, Addresses: 2, Params: 2, Text: 50, Nested: 60, Problems: 3}
	f.Fuzz(func(t *testing.T, mail []byte) {
		m := parseOctets(t, mail, lim)
		checkMessage(t, m)
		if len(m.Headers) > 4 || m.Text != nil && len(*m.Text) > 400 {
			t.Errorf("%d fields, %d octets of text", len(m.Headers), len(*m.Text))
		}
	})
}

func FuzzHeader(f *testing.F) {
	for _, s := range []string{"A: b\r\nC: d\r\n e\r\n\r\nx", "From x\nA:b\n\nx", "A:b\rC:d\r\rx", " x\nA: b", "junk\nA: b\n\n", "A : b\n\n", ":\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		p := newParse()
		p.src = newSource(bytes.NewReader(octets), int64(len(octets)))
		defer p.src.release()
		h, body := p.readHeader(0, "header")
		if body < 0 || body > int64(len(octets)) {
			t.Fatalf("the body begins at %d of %d", body, len(octets))
		}
		for _, q := range h {
			if strings.ContainsAny(q.name, ":\r\n") || strings.ContainsAny(q.value, "\n") {
				t.Errorf("a field %q: %q", q.name, q.value)
			}
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"a <b@c>, d@e", `"a, b" <c@d>`, "A:b@c;, d", "<<a@b>>", "a (b) <c@d", "=?utf-8?q?a?= <b@c>", "<@a:b@c>", "\xe4@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, a := range newParse().addressList(nil, s, "header To") {
			if a.Email == "" && a.Name == nil || !utf8.ValidString(a.Email) || a.Name != nil && !utf8.ValidString(*a.Name) {
				t.Errorf("an address %+v", a)
			}
		}
	})
}

func FuzzDate(f *testing.F) {
	for _, s := range []string{"Fri, 21 Nov 1997 09:55:06 -0600", "2026-11-24T10:00:00Z", "Tue Nov 24 10:00:00 2026", "24-Nov-26 1:00 PM EST", "1 : 2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := readDate(s); ok {
			if b, err := json.Marshal(Time{d}); err != nil || len(b) < len(`"2026-11-24T10:00:00Z"`) {
				t.Errorf("%q is %s, %v", s, b, err)
			}
		}
	})
}

func FuzzParams(f *testing.F) {
	for _, s := range []string{`text/plain; charset="utf-8"`, "a/b; c*0*=utf-8''d; c*1=e", `a; b="c`, "a; b=c (d); e", "a b=c", "a; b=\xe4", "*="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, ps := newParse().readParams(s, "header")
		for _, q := range ps {
			if q.name == "" || !utf8.ValidString(q.value) || strings.ContainsAny(q.value, "\r\n\x00") {
				t.Errorf("a parameter %q: %q", q.name, q.value)
			}
		}
	})
}

func FuzzEncodedWords(f *testing.F) {
	for _, s := range []string{"=?utf-8?q?a=3D?= =?utf-8?b?YQ==?=", "=?a?b?", "=?utf-8?q?a?=3F?=", "=?iso-2022-jp?b?GyRC?=", "=?utf-7*en?q?+AOQ-?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := newParse().decodeText(s, "header"); !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00") {
			t.Errorf("%q is %q", s, got)
		}
	})
}

func FuzzIDs(f *testing.F) {
	for _, s := range []string{"<a@b> <c@d>", "a@b", "<<a@b>>", "<a", "your mail of <a@b>", "(c) <a@b>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, id := range newParse().ids(header{newField("References", s)}, "References") {
			if id == "" || !utf8.ValidString(id) || strings.ContainsAny(id, " \t\r\n") {
				t.Errorf("an id %q", id)
			}
		}
	})
}

func FuzzCharset(f *testing.F) {
	for _, name := range []string{"", "utf-7", "iso-2022-kr", "hz", "gbk", "utf-16", "utf-32", "iso-2022-jp", "ibm037", "nobody", "big5", "us-ascii"} {
		f.Add(name, []byte("a\xc3\xa4+AOQ-\x1b$B~{"))
	}
	f.Fuzz(func(t *testing.T, name string, octets []byte) {
		got := newParse().toUTF8(octets, name, "body")
		if !utf8.ValidString(got) {
			t.Errorf("%q in %s is %q", octets, name, got)
		}
		if len(got) > 6*len(octets)+16 {
			t.Errorf("%d octets became %d", len(octets), len(got))
		}
	})
}

func FuzzTransfer(f *testing.F) {
	for e := encIdentity; e <= encYEnc; e++ {
		f.Add(int(e), []byte("QUJD=\r\nbegin 644 a\r\n#0V%T\r\nend\r\n=ybegin x\r\n=41=\r\n"))
	}
	f.Fuzz(func(t *testing.T, e int, octets []byte) {
		if e < 0 || e > int(encYEnc) {
			return
		}
		whole, pieces := new(bytes.Buffer), new(bytes.Buffer)
		d := decodeFrom(bytes.NewReader(octets), encoding(e), int64(len(octets)))
		if _, err := whole.ReadFrom(d); err != nil {
			t.Fatal(err)
		}
		d = decodeFrom(&slowReader{octets}, encoding(e), int64(len(octets)))
		if _, err := pieces.ReadFrom(d); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(whole.Bytes(), pieces.Bytes()) {
			t.Errorf("whole %q, in pieces %q", whole, pieces)
		}
		// A line of uuencode says up to 45 octets and may have one group only.
		if whole.Len() > 24*len(octets)+64 {
			t.Errorf("%d octets became %d", len(octets), whole.Len())
		}
	})
}

// slowReader gives three octets at a time.
type slowReader struct{ rest []byte }

func (s *slowReader) Read(p []byte) (int, error) {
	n := copy(p[:min(3, len(p))], s.rest)
	s.rest = s.rest[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func FuzzTNEF(f *testing.F) {
	f.Add(tnefStream(tnefAttr(attAttachRendData, nil), tnefAttr(attAttachTitle, []byte("a\x00")), tnefAttr(attAttachData, []byte("b"))))
	f.Add(tnefStream(tnefAttr(attMsgProps, tnefProps(tnefProp(propHTML, kindBinary, []byte("c")), tnefProp(0x8001, kindUnicode, utf16le("d"))))))
	f.Add(tnefStream(tnefAttr(attAttachRendData, nil), tnefAttr(attAttachment, tnefProps(tnefProp(propAttachData, kindObject, append(make([]byte, 16), tnefStream()...))))))
	f.Fuzz(func(t *testing.T, octets []byte) {
		p := newParse()
		r := readTNEF(octets, func(b []byte, charset string) string { return p.toUTF8(b, charset, "body") })
		for _, file := range r.files {
			if file.off < 0 || file.n < 0 || file.off+file.n > len(octets) {
				t.Errorf("a file at %d of %d octets", file.off, file.n)
			}
		}
	})
}

// FuzzReport reads delivery reports, the bounces that are text, and the fields a
// server on the way writes.
func FuzzReport(f *testing.F) {
	for _, s := range []string{"Reporting-MTA: dns; a\n\nFinal-Recipient: rfc822; b@c\nAction: failed\nStatus: 5.1.1 (x)\nDiagnostic-Code: smtp; 550\n d\n", "Hi. This is the qmail-send program at a.\n\n<b@c>:\nd (#5.1.1)\n\n--- Below\n\nMessage-ID: <e@f>\n\ng",
		"550 5.1.1 no\n----- Original message -----\nSubject: a\n\nb", "from a (b) by c for <d@e>; Tue", "<mailto:a@b>, <https://c/d>", "\xe7A\xc3\xe3\xb8@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, mail := range []string{
			"Content-Type: message/delivery-status\n\n" + s,
			"X-Failed-Recipients: " + clip(strings.Map(func(r rune) rune {
				if r < ' ' {
					return ' '
				}
				return r
			}, s), 200) + ", a@b\n\n" + s,
			"From: a@b\n\n" + s,
		} {
			m := parseOctets(t, []byte(mail), Limits{})
			checkMessage(t, m)
			if m.Bounce != nil && len(m.Bounce.Recipients) > maxBounced {
				t.Errorf("%d recipients", len(m.Bounce.Recipients))
			}
		}
		for _, u := range listAddresses(s) {
			if strings.ContainsAny(u, " \t\r\n") || !utf8.ValidString(u) {
				t.Errorf("an address of a list %q", u)
			}
		}
		p := newParse()
		for _, a := range p.deliveredTo(header{newField("Received", s), newField("Received", "x for "+s)}) {
			if !strings.Contains(a, "@") || !utf8.ValidString(a) {
				t.Errorf("a recipient %q", a)
			}
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"a\n\n> b", "On 1 Jan 2026, a@b wrote:\n> c", "a\n-- \nb", "From: a\nTo: b\nDate: c", "-----Original Message-----\na", "a\n\nSent from my iPhone", "A" + strings.Repeat("\xad", 41)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := splitReply(s)
		if len(r.Text)+len(r.Quoted) > len(s) {
			t.Errorf("%d octets became %d and %d", len(s), len(r.Text), len(r.Quoted))
		}
	})
}

func FuzzHTML(f *testing.F) {
	for _, s := range []string{"<p>a<br>b", "<blockquote>a<ul><li>b</blockquote>", "<a href=http://a>b", "<pre>a\nb", "<script>a</script>b", "<img src=cid:a onerror=b>", "<meta charset=utf-8>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := htmlText(s, true, 1000); len(got) > 1000 {
			t.Errorf("%d octets of text", len(got))
		}
		metaCharset([]byte(s))
		contentIDs(s)
		if safe := strings.ToLower(safeHTML(s, 1<<20)); strings.Contains(safe, "<script") || strings.Contains(safe, "<iframe") || strings.Contains(safe, "<form") {
			t.Errorf("%q left %q", s, safe)
		}
	})
}

func FuzzCalendar(f *testing.F) {
	f.Add("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART;TZID=a:20261124T100000\nDURATION:PT1H\nEND:VEVENT\nEND:VCALENDAR")
	f.Fuzz(func(t *testing.T, s string) {
		p := newParse()
		(&calendarReader{p: p, where: "body"}).read(s)
		if out, err := json.Marshal(p.msg.Calendar); err != nil || len(p.msg.Calendar) > maxEvents {
			t.Errorf("%s %v", out, err)
		}
	})
}

func FuzzAuthentication(f *testing.F) {
	for _, s := range []string{"mx.example.com; spf=pass", "evil; dmarc=pass (mx.example.com)", `"mx.example.com"; a="b;c"`, "mx.example.com (a) 1; dkim / 1 = pass"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := newParse()
		p.lim.AuthservIDs = []string{"mx.example.com"}
		a := p.authentication(header{newField("Authentication-Results", s)})
		if !a.Trusted && (a.SPF != nil || a.DKIM != nil || a.DMARC != nil) {
			t.Errorf("%q: a result nobody vouches for", s)
		}
		if a.Trusted && !strings.Contains(strings.ToLower(s), "mx.example.com") {
			t.Errorf("%q: believed", s)
		}
	})
}
