package parser

import "testing"

// TestEncodedWordsAreDecodedAsRFC2047Shows has the examples of RFC 2047 section 8,
// each in the displayed form the RFC gives.
func TestEncodedWordsAreDecodedAsRFC2047Shows(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"=?ISO-8859-1?Q?a?=", "a"},
		{"=?ISO-8859-1?Q?a?= b", "a b"},
		{"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"},
		{"=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"},
		{"=?ISO-8859-1?Q?a_b?=", "a b"},
		{"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"},
		{"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=", "If you can read this you understand the example."},
		{"=?US-ASCII?Q?Keith_Moore?=", "Keith Moore"},
		{"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen"},
		{"=?ISO-8859-1?Q?Andr=E9?= Pirard", "André Pirard"},
		{"=?ISO-8859-1?Q?Olle_J=E4rnefors?=", "Olle Järnefors"},
		{"=?ISO-8859-1?Q?Patrik_F=E4ltstr=F6m?=", "Patrik Fältström"},
		{"=?iso-8859-8?b?7eXs+SDv4SDp7Oj08A==?=", "םולש ןב ילטפנ"},
	} {
		if got := (&parse{msg: newMessage(0), lim: DefaultLimits()}).decodeText(c.in, "header Subject"); got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

func TestBrokenEncodedWordsAreMended(t *testing.T) {
	for _, c := range []struct{ fact, in, want, codes string }{
		{"a language tag (RFC 2231 section 5)", "=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore", ""},
		{"no padding", "=?utf-8?B?w6TDtg?=", "äö", ProblemBadEncodedWord},
		{"a character cut in two between words", "=?utf-8?B?w6Q=?= =?utf-8?Q?=C3?= =?utf-8?Q?=B6?=", "äö", ""},
		{"GBK cut in two between words", "=?gbk?B?xOM=?= =?gbk?Q?=BA?=\r\n =?gbk?Q?=C3?=", "你好", ""},
		{"ISO-2022-JP cut in two within a character", "=?iso-2022-jp?B?GyRCJQ==?= =?iso-2022-jp?B?RhsoQg==?=", "テ", ""},
		{"HZ", "=?hz-gb-2312?Q?~=7BDc~=7D?=", "你", ""},
		{"white space in the text", "=?utf-8?Q?a b?=", "a b", ProblemBadEncodedWord},
		{"white space in base64", "=?utf-8?B?w6T DtsO8?=", "äöü", ProblemBadEncodedWord},
		{"no white space between words", "=?utf-8?Q?a?==?utf-8?Q?b?=", "ab", ""},
		{"no white space beside text", "x=?utf-8?Q?a?=y", "xay", ""},
		{"in quotes", `"=?utf-8?Q?a?="`, `"a"`, ""},
		{"the end is missing", "=?utf-8?B?w6TDtg==", "äö", ProblemBadEncodedWord},
		{"a question mark left as it is", "=?utf-8?Q?really?=3F_yes?=", "really?? yes", ""},
		{"raw octets in the text", "=?iso-8859-1?Q?J\xe4rn?=", "Järn", ProblemBadEncodedWord},
		{"UTF-7", "=?utf-7?Q?+AOQ-?=", "ä", ""},
		{"an encoding nobody knows", "=?utf-8?x?abc?=", "=?utf-8?x?abc?=", ProblemBadEncodedWord},
		{"a broken escape", "=?utf-8?Q?100=_sure?=", "100= sure", ProblemBadEncodedWord},
		{"not one at all", "a =? b", "a =? b", ""},
		{"a charset nobody knows", "=?x-unknown?Q?caf=C3=A9?=", "café", ProblemUnknownCharset},
		{"UTF-8 labelled ISO-8859-1", "=?iso-8859-1?Q?caf=C3=A9?=", "café", ProblemWrongCharset},
		{"windows-1252 octets labelled ISO-8859-1", "=?iso-8859-1?Q?=93a=94?=", "“a”", ""},
		{"an empty word", "a =?utf-8?Q??= b", "a  b", ""},
	} {
		p := &parse{msg: newMessage(0), lim: DefaultLimits()}
		got := p.decodeText(c.in, "header Subject")
		if got != c.want || codes(p.msg) != c.codes {
			t.Errorf("%s: %q\n got %q %q\nwant %q %q", c.fact, c.in, got, codes(p.msg), c.want, c.codes)
		}
	}
}

func TestRawOctetsInHeadersAreRead(t *testing.T) {
	for _, c := range []struct{ fact, contentType, subject, want string }{
		{"UTF-8", "text/plain", "caf\xc3\xa9", "café"},
		{"Latin-1", "text/plain", "caf\xe9 au lait", "café au lait"},
		{"Windows-1251 without a hint", "text/plain", "\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0", "Привет, мир"},
		{"KOI8-R without a hint", "text/plain", "\xf0\xd2\xc9\xd7\xc5\xd4, \xcd\xc9\xd2", "Привет, мир"},
		{"the charset of the text", "text/plain; charset=windows-1250", "P\xf8\xedli\x9a \xe8ern\xfd", "Příliš černý"},
		{"the charset of the text, Shift_JIS", "text/plain; charset=Shift_JIS", "\x83\x65\x83\x58\x83\x67", "テスト"},
		{"GBK without a hint", "text/plain", "\xc4\xe3\xba\xc3\xca\xc0\xbd\xe7", "你好世界"},
	} {
		m := read(t, "Subject: "+c.subject, "Content-Type: "+c.contentType, "", "x")
		if str(m.Subject) != c.want {
			t.Errorf("%s: got %q, want %q", c.fact, str(m.Subject), c.want)
		}
		if codes(m) != ProblemRaw8Bit {
			t.Errorf("%s: problems %q", c.fact, codes(m))
		}
	}
}
