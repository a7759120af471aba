package parser

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

func unhexString(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of MS-OXRTFCP section 4.
const (
	helloWorldRTF = "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
	wxyzRTF       = "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0"
)

// storedRTF is RTF that is not compressed (MS-OXRTFCP section 2.1.3.1.5).
func storedRTF(text string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(text)+12))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	b = append(b, "MELA\x00\x00\x00\x00"...)
	return append(b, text...)
}

func TestCompressedRTFIsReadAsTheSpecificationShows(t *testing.T) {
	for _, c := range []struct {
		fact string
		in   []byte
		want string
		ok   bool
	}{
		{"simple", unhexString(t, helloWorldRTF), "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n", true},
		{"a reference that overlaps what it writes", unhexString(t, wxyzRTF), "{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}", true},
		{"stored", storedRTF("{\\rtf1 a}"), "{\\rtf1 a}", true},
		{"cut off", unhexString(t, helloWorldRTF)[:40], "{\\rtf1\\ansi\\ansicpg1252\\pard hello w", false},
		{"a wrong checksum", append(unhexString(t, wxyzRTF)[:12], append([]byte{1, 2, 3, 4}, unhexString(t, wxyzRTF)[16:]...)...), "{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}", false},
		{"a header alone", unhexString(t, helloWorldRTF)[:16], "", false},
		{"nothing", nil, "", false},
		{"another kind", append([]byte("\x10\x00\x00\x00\x01\x00\x00\x00ABCD"), 0, 0, 0, 0, 'a'), "", false},
	} {
		got, ok := decompressRTF(c.in, 1000)
		if string(got) != c.want || ok != c.ok {
			t.Errorf("%s: got %q %t, want %q %t", c.fact, got, ok, c.want, c.ok)
		}
	}
	if got, ok := decompressRTF(unhexString(t, wxyzRTF), 10); string(got) != "{\\rtf1 WXY" || ok {
		t.Errorf("beyond the limit: %q %t", got, ok)
	}
}

func TestRTFBecomesText(t *testing.T) {
	for _, c := range []struct{ fact, in, want string }{
		{"paragraphs and lines", `{\rtf1\ansi a\par b\line c\par\par d}`, "a\nb\nc\n\nd"},
		{"line ends of the source say nothing", "{\\rtf1 a\r\nb\n c}", "ab c"},
		{"formats say nothing", `{\rtf1\pard\plain\f0\fs20\b bold\b0  and {\i slanted}}`, "bold and slanted"},
		{"what is escaped", `{\rtf1 a\{b\}c\\d}`, `a{b}c\d`},
		{"octets in the charset of the document", `{\rtf1\ansi\ansicpg1251 \'cf\'f0\'e8\'e2\'e5\'f2}`, "Привет"},
		{"octets of two for a character", `{\rtf1\ansi\ansicpg932 \'83\'65\'83X\'83g}`, "テスト"},
		{"Windows-1252 where no charset is named", `{\rtf1 caf\'e9 \'80}`, "café €"},
		{"octets in the charset of the font", `{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fswiss\fcharset204 Arial CYR;}}\f0 \'e9\f1 \'e9{\f0 \'e9}\'e9}`, "éйéй"},
		{"Unicode, with what older readers show", `{\rtf1\uc1\u1055?\u1088 ?x\u-4051?}`, "Прx\uf02d"},
		{"Unicode beyond the first plane", `{\rtf1\uc1\u-10179?\u-8704?}`, "😀"},
		{"half a character of two", `{\rtf1\uc0\u-10179 a}`, "\uFFFDa"},
		{"two characters for older readers", `{\rtf1\uc2\u8364\'80?a{\uc0\u8364 }\u8364 ??b}`, "€a€€b"},
		{"characters by name", `{\rtf1 a\tab b\emdash c\endash d\lquote e\rquote f\ldblquote g\rdblquote\bullet\~h\_i\-j}`, "a\tb—c–d‘e’f“g”•\u00a0h‑ij"},
		{"what is not text", `{\rtf1{\fonttbl{\f0 Arial;}}{\colortbl;\red0;}{\stylesheet{s;}}{\info{\title t}}{\*\generator g;}{\pict 0123}a{\*\unknown b}c{\header h}{\footer f}}`, "ac"},
		{"binary data is passed over", "{\\rtf1 a{\\pict\\bin3 }}}}b}", "ab"},
		{"binary data longer than the document", "{\\rtf1 a\\bin999 b}", "a"},
		{"the address of a link is no text", `{\rtf1 {\field{\*\fldinst HYPERLINK "http://a/"}{\fldrslt here}}}`, "here"},
		{"tables", `{\rtf1\trowd a\cell b\cell\row c}`, "a\tb\t\nc"},
		{"groups that never close", `{\rtf1 {{a`, "a"},
		{"more groups closed than opened", `{\rtf1 a}}}b`, "a"},
		{"a control word cut off", `{\rtf1 a\`, "a"},
		{"a number too large", `{\rtf1\u99999999999999999999?a\'zzb}`, "?azzb"},
		{"no RTF", "hello", ""},
		{"nothing", "", ""},
	} {
		r := readRTF([]byte(c.in), 1000, func(b []byte, charset string) string { return newParse().toUTF8(b, charset, "body") })
		if r.text != c.want || r.html != "" {
			t.Errorf("%s:\n got %q %q\nwant %q", c.fact, r.text, r.html, c.want)
		}
	}
}

// TestHTMLInRTFIsTakenOut has RTF as MS-OXRTFEX section 3 describes it: the HTML in
// groups of its own, and beside it what shows the same to readers of RTF.
func TestHTMLInRTFIsTakenOut(t *testing.T) {
	for _, c := range []struct{ fact, in, want string }{
		{"tags, and text between them", `{\rtf1\ansi\ansicpg1251\fromhtml1 \deff0{\fonttbl{\f0\fcharset0 Arial;}}{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 \'cf & b <c>{\*\htmltag72 </p>}\htmlrtf\par}\htmlrtf0 }`, "<p>П &amp; b &lt;c&gt;</p>"},
		{"references", `{\rtf1\fromhtml1 a{\*\htmltag84 &nbsp;}\htmlrtf \'a0\htmlrtf0 b}`, "a&nbsp;b"},
		{"line ends", `{\rtf1\fromhtml1{\*\htmltag0 \par }{\*\htmltag0 <br>\tab}a\par b\line c}`, "\n<br>\ta\nb\nc"},
		{"braces", `{\rtf1\fromhtml1{\*\htmltag241 <style>a \{b\}</style>}{\*\mhtmltag64 <img src="cid:a">}}`, "<style>a {b}</style>"},
		{"suppressed groups end with themselves", `{\rtf1\fromhtml1 a{\htmlrtf b}c}`, "ac"},
	} {
		r := readRTF([]byte(c.in), 1000, func(b []byte, charset string) string { return newParse().toUTF8(b, charset, "body") })
		if r.html != c.want || r.text != "" {
			t.Errorf("%s:\n got %q %q\nwant %q", c.fact, r.html, r.text, c.want)
		}
	}
}

func TestTheTextOfAWinmailDatMayBeRTF(t *testing.T) {
	parse := func(props ...[]byte) *Message {
		m := parseOctets(t, encoded("application/ms-tnef", "binary", string(tnefStream(tnefAttr(attMsgProps, tnefProps(props...))))), Limits{})
		checkMessage(t, m)
		return m
	}
	if m := parse(tnefProp(propRTF, kindBinary, unhexString(t, helloWorldRTF))); str(m.Text) != "hello world" || m.HTML != nil || codes(m) != "" {
		t.Errorf("text %q, HTML %q, %s", str(m.Text), str(m.HTML), codes(m))
	}
	if m := parse(tnefProp(propRTF, kindBinary, storedRTF(`{\rtf1\fromhtml1{\*\htmltag64 <p>}a}`))); str(m.Text) != "a" || str(m.HTML) != "<p>a" {
		t.Errorf("text %q, HTML %q", str(m.Text), str(m.HTML))
	}
	if m := parse(tnefProp(propBody, kindString8, []byte("plain\x00")), tnefProp(propRTF, kindBinary, unhexString(t, helloWorldRTF))); str(m.Text) != "plain" {
		t.Errorf("the plain text does not win: %q", str(m.Text))
	}
	if m := parse(tnefProp(propRTF, kindBinary, unhexString(t, helloWorldRTF)[:40])); str(m.Text) != "hello w" || codes(m) != ProblemBadTNEF {
		t.Errorf("cut off: %q, %s", str(m.Text), codes(m))
	}
}

// TestTheRTFOfTheCorpusHasItsChecksum decompresses what Outlook has compressed, with
// a checksum that proves it right.
func TestTheRTFOfTheCorpusHasItsChecksum(t *testing.T) {
	words := map[string]string{"rtf.tnef": "Senior Engineer/QADirector Team\nCompuware Corporation\n", "long-filename.tnef": "I've attached a temp. license for QARun 4.7.", "multi-value-attribute.tnef": "<style type=\"text/css\"> a:link { color: #3399ff; }", "winmail.tnef": "222222222222222222222222222222\n", "data-before-name.tnef": "asdf"}
	n := 0
	for path, octets := range corpus(t) {
		if !strings.HasSuffix(path, ".tnef") {
			continue
		}
		p := newParse()
		w := readTNEF(octets, func(b []byte, charset string) string { return p.toUTF8(b, charset, "body") })
		if len(w.rtf) == 0 {
			continue
		}
		n++
		if !w.readRTF(1 << 20) {
			t.Errorf("%s: the checksum is wrong", path)
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		if !strings.Contains(w.text+w.html, words[name]) {
			t.Errorf("%s: %q is missing from %q %q", path, words[name], w.text, w.html)
		}
		delete(words, name)
	}
	if n < 7 || len(words) > 0 {
		t.Errorf("%d files, not seen: %v", n, words)
	}
}

func FuzzRTF(f *testing.F) {
	for _, s := range []string{`{\rtf1\ansi\ansicpg1251{\fonttbl{\f1\fcharset204 A;}}\f1\'cf\u1055?\par{\*\x y}b\bin2 ab}`, `{\rtf1\fromhtml1{\*\htmltag64 <p>}\htmlrtf a\htmlrtf0 b}`} {
		f.Add([]byte(s))
		f.Add(storedRTF(s))
	}
	for _, s := range []string{helloWorldRTF, wxyzRTF} {
		f.Add(unhexString(f, s))
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		const limit = 1 << 16
		rtf, _ := decompressRTF(octets, limit)
		if len(rtf) > limit || len(rtf) > 17*len(octets) {
			t.Errorf("%d octets became %d", len(octets), len(rtf))
		}
		for _, b := range [...][]byte{octets, rtf} {
			p := newParse()
			r := readRTF(b, 1000, func(b []byte, charset string) string { return p.toUTF8(b, charset, "body") })
			if len(r.text) > 1000 || len(r.html) > 1000 {
				t.Errorf("%d and %d octets", len(r.text), len(r.html))
			}
		}
	})
}
