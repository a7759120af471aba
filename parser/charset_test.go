package parser

import (
	"strings"
	"testing"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/charmap"
)

func TestCharsetsAreDecoded(t *testing.T) {
	for _, c := range []struct{ name, octets, want string }{
		{"utf-8", "\xc3\xa4", "ä"},
		{"iso-8859-1", "\xe4", "ä"},
		{"iso-8859-1", "\x80", "€"}, // as every browser reads it (WHATWG Encoding Standard)
		{"iso-8859-2", "\xb1", "ą"},
		{"ISO-8859-15", "\xa4", "€"},
		{"iso8859-15", "\xa4", "€"},
		{"iso_8859_15", "\xa4", "€"},
		{"iso-8859-8-i", "\xf9", "ש"},
		{"windows-1250", "\x9a", "š"},
		{"windows-1251", "\xcf", "П"},
		{"cp1251", "\xcf", "П"},
		{"x-cp1251", "\xcf", "П"},
		{"windows-1256", "\xc7", "ا"},
		{"koi8-r", "\xf0", "П"},
		{"koi8-u", "\xa4", "є"},
		{"ibm437", "\x84", "ä"},
		{"cp437", "\x84", "ä"},
		{"cp850", "\x84", "ä"},
		{"ibm850", "\x84", "ä"},
		{"ansi_x3.110-1983", "\xe4", "ä"}, // T.61, which mail software takes for a superset of ISO 8859-1
		{"cp866", "\x8f", "П"},
		{"macintosh", "\x8a", "ä"},
		{"tis-620", "\xa1", "ก"},
		{"shift_jis", "\x83\x65", "テ"},
		{"euc-jp", "\xa5\xc6", "テ"},
		{"iso-2022-jp", "\x1b$B%F\x1b(B", "テ"},
		{"euc-kr", "\xb0\xa1", "가"},
		{"ks_c_5601-1987", "\xb0\xa1", "가"},
		{"iso-2022-kr", "\x1b$)C\x0e0!\x0fa", "가a"},
		{"gb2312", "\xc4\xe3", "你"},
		{"gbk", "\xc4\xe3", "你"},
		{"gb18030", "\x81\x30\x81\x30", "\u0080"},
		{"hz-gb-2312", "~{Dc~}", "你"},
		{"big5", "\xa7\x41", "你"},
		{"utf-7", "+AOQ-", "ä"},
		{"unicode-1-1-utf-7", "a+-b+AOQ", "a+bä"},
		{"utf-16", "\xfe\xff\x00a", "a"},
		{"utf-16", "\xff\xfea\x00", "a"},
		{"utf-16", "\x00a", "a"}, // RFC 2781 section 4.3: big-endian without a mark
		{"utf-16", "a\x00", "a"}, // Encoding Standard: little-endian without a mark
		{"utf-16le", "a\x00", "a"},
		{"utf-16be", "\x00a", "a"},
		{"utf-32", "\x00\x00\xfe\xff\x00\x00\x00a", "a"},
		{"utf-32le", "a\x00\x00\x00", "a"},
		{"utf-32be", "\x00\x00\x00a", "a"},
		{"ibm037", "\x81", "a"},
		{"us-ascii", "a", "a"},
	} {
		p := &parse{msg: newMessage(0), lim: DefaultLimits()}
		if got := p.toUTF8([]byte(c.octets), c.name, "body"); got != c.want || codes(p.msg) != "" {
			t.Errorf("%s %q: got %q %q, want %q", c.name, c.octets, got, codes(p.msg), c.want)
		}
	}
}

func TestEveryLabelOfTheEncodingStandardIsKnown(t *testing.T) {
	for _, label := range []string{
		"unicode-1-1-utf-8", "utf8", "866", "cp866", "csibm866", "ibm866", "csisolatin2", "iso-ir-101", "l2", "latin2", "iso-8859-3", "iso-8859-4", "cyrillic", "iso-8859-5",
		"arabic", "iso-8859-6", "greek", "iso-8859-7", "hebrew", "visual", "iso-8859-8", "logical", "iso-8859-10", "iso-8859-13", "iso-8859-14", "iso-8859-15", "iso-8859-16", "koi", "koi8-r",
		"koi8-u", "x-mac-roman", "dos-874", "windows-874", "windows-1250", "windows-1251", "ascii", "windows-1252", "windows-1253", "windows-1254", "windows-1255", "windows-1256", "windows-1257",
		"windows-1258", "x-mac-cyrillic", "chinese", "gb2312", "gbk", "x-gbk", "gb18030", "big5", "big5-hkscs", "cseucpkdfmtjapanese", "euc-jp", "iso-2022-jp", "ms932", "shift_jis", "x-sjis",
		"korean", "euc-kr", "windows-949", "utf-16be", "utf-16", "utf-16le", "x-user-defined",
	} {
		if e, _ := charset.Lookup(label); e == nil {
			t.Fatalf("%s is no label", label)
		}
		p := &parse{msg: newMessage(0), lim: DefaultLimits()}
		p.toUTF8([]byte("\xc3\xa4ab"), label, "body")
		for _, q := range p.msg.Problems {
			if q.Code == ProblemUnknownCharset {
				t.Errorf("%s is not known", label)
			}
		}
	}
}

func TestWrongLabelsAreRepaired(t *testing.T) {
	for _, c := range []struct{ fact, label, octets, want, codes string }{
		{"UTF-8 labelled ISO-8859-1", "iso-8859-1", "caf\xc3\xa9", "café", ProblemWrongCharset},
		{"UTF-8 labelled US-ASCII", "us-ascii", "caf\xc3\xa9", "café", ProblemWrongCharset},
		{"Latin-1 labelled US-ASCII", "us-ascii", "caf\xe9", "café", ProblemWrongCharset},
		{"Latin-1 labelled UTF-8", "utf-8", "caf\xe9 cr\xe8me", "café crème", ProblemWrongCharset},
		{"UTF-8 labelled GB 2312", "gb2312", "\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xb8\x96", "你好世", ProblemWrongCharset},
		{"UTF-8 with one octet too many", "utf-8", "\xc3\xa4\xc3\xb6\xc3\xbc\xff", "äöü\uFFFD", ProblemWrongCharset},
		{"UTF-8 that was cut, in no charset", "", "\xd0\x9a\xd0\xb0\xd1", "Ка\uFFFD", ProblemRaw8Bit},
		{"a charset nobody knows", "x-klingon", "caf\xe9", "café", ProblemUnknownCharset},
		{"GBK that is GBK", "gbk", "\xc4\xe3\xba\xc3", "你好", ""},
	} {
		p := &parse{msg: newMessage(0), lim: DefaultLimits()}
		if got := p.toUTF8([]byte(c.octets), c.label, "body"); got != c.want || codes(p.msg) != c.codes {
			t.Errorf("%s: got %q %q, want %q %q", c.fact, got, codes(p.msg), c.want, c.codes)
		}
	}
}

func TestHTMLThatNamesItsCharsetItself(t *testing.T) {
	for _, c := range []struct{ head, octets, want string }{
		{`<meta charset="windows-1251">`, "\xcf", "П"},
		{`<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">`, "\xcf", "П"},
		{`<meta content='text/html;charset=koi8-r' http-equiv=content-type>`, "\xf0", "П"},
		{`<meta charset=utf-16>`, "\xc3\xa4", "ä"},
	} {
		m := read(t, "Content-Type: text/html", "", c.head+c.octets)
		if want := c.head + c.want + "\n"; str(m.HTML) != want {
			t.Errorf("got %q, want %q", str(m.HTML), want)
		}
	}
}

// TestCharsetsOfOneOctetAreDecodedByTheirTables compares every octet of every table
// with what its own decoder says.
func TestCharsetsOfOneOctetAreDecodedByTheirTables(t *testing.T) {
	octets := make([]byte, 256)
	for i := range octets {
		octets[i] = byte(i)
	}
	for _, e := range charmap.All {
		table, ok := e.(*charmap.Charmap)
		if !ok {
			continue
		}
		want, err := table.NewDecoder().Bytes(octets)
		if err != nil {
			t.Fatal(err)
		}
		got, whole := withTable(table)(octets)
		if got != string(want) || whole != !strings.Contains(got, "\uFFFD") {
			t.Errorf("%s:\n got %q %t\nwant %q", table, got, whole, want)
		}
	}
}
