package parser

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// tnefAttr makes an attribute (MS-OXTNEF section 2.1.3).
func tnefAttr(id uint32, data []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{1}, id)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = append(b, data...)
	sum := uint16(0)
	for _, c := range data {
		sum += uint16(c)
	}
	return binary.LittleEndian.AppendUint16(b, sum)
}

// tnefStream makes a winmail.dat of attributes.
func tnefStream(attributes ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, tnefSignature)
	b = append(b, 1, 0) // the key
	for _, a := range attributes {
		b = append(b, a...)
	}
	return b
}

// tnefProp makes a property that has one value with a length (MS-OXTNEF section
// 2.1.3.4).
func tnefProp(id, kind uint16, value []byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, kind)
	b = binary.LittleEndian.AppendUint16(b, id)
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	b = append(b, value...)
	return append(b, make([]byte, padded(len(value))-len(value))...)
}

func tnefProps(props ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(props)))
	for _, p := range props {
		b = append(b, p...)
	}
	return b
}

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// winmail is a mail with a winmail.dat of these octets beside its text.
func winmail(octets []byte) []byte {
	return []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString(octets) + "\r\n--b--\r\n")
}

func TestWinmailDatIsOpened(t *testing.T) {
	inner := tnefStream(tnefAttr(attAttachRendData, nil), tnefAttr(attAttachTitle, []byte("deep.txt\x00")), tnefAttr(attAttachData, []byte("deep")))
	whole := tnefStream(
		tnefAttr(attOemCodepage, []byte{0xe3, 0x04, 0, 0, 0, 0, 0, 0}), // 1251
		tnefAttr(attMsgProps, tnefProps(tnefProp(propHTML, kindBinary, []byte("<p>rich</p>")))),
		tnefAttr(attAttachRendData, nil), tnefAttr(attAttachTitle, []byte("A~1.PDF\x00")), tnefAttr(attAttachData, []byte("ABC")),
		tnefAttr(attAttachment, tnefProps(tnefProp(propLongName, kindUnicode, utf16le("Angebot für Ada.pdf")), tnefProp(propMediaType, kindString8, []byte("application/pdf\x00")), tnefProp(propContentID, kindString8, []byte("c@d\x00")))),
		tnefAttr(attAttachRendData, nil), tnefAttr(attAttachTitle, []byte("\xcf.png\x00")), tnefAttr(attAttachData, []byte("DEF")),
		tnefAttr(attAttachRendData, nil), tnefAttr(attAttachment, tnefProps(tnefProp(propAttachData, kindObject, append(make([]byte, 16), inner...)))),
	)
	m := parseOctets(t, winmail(whole), Limits{})
	checkMessage(t, m)
	var got []string
	for i := range m.Attachments {
		a := &m.Attachments[i]
		got = append(got, strings.Join([]string{a.PartID, str(a.Name), a.Type, str(a.CID), content(t, a)}, " "))
	}
	if want := "2.1 Angebot für Ada.pdf application/pdf c@d ABC; 2.2 П.png image/png <nil> DEF; 2.3 deep.txt text/plain <nil> deep"; strings.Join(got, "; ") != want {
		t.Errorf(" got %s\nwant %s", strings.Join(got, "; "), want)
	}
	if str(m.Text) != "hello" || str(m.HTML) != "<p>rich</p>" || codes(m) != "" {
		t.Errorf("text %q, html %q, %q", str(m.Text), str(m.HTML), codes(m))
	}
}

// TestWinmailDatsOfTheCorpusAreOpened reads files whose attributes were listed by
// hand: names from attAttachTitle or PR_ATTACH_LONG_FILENAME, sizes from
// attAttachData.
func TestWinmailDatsOfTheCorpusAreOpened(t *testing.T) {
	for _, c := range []struct {
		file, want string
		ok         bool
	}{
		{"one-file", "AUTHORS 244", true},
		{"two-files", "AUTHORS 244, README 893", true},
		{"data-before-name", "AUTOEXEC.BAT 0, CONFIG.SYS 0, boot.ini 289", true},
		{"long-filename", "allproductsmar2000.dat 279", true},
		{"multi-value-attribute", "208225__5_seconds__Voice_Mail.mp3 10656", true},
		{"panic", "image001.jpg 11250, image002.jpg 9583, image003.png 7147", false}, // garbage follows them
		{"garbage-at-end", "", false},
		{"rtf", "", true},
	} {
		octets, err := os.ReadFile("testdata/corpus/jstedfast-MimeKit/UnitTests/TestData/tnef/" + c.file + ".tnef")
		if err != nil {
			t.Fatal(err)
		}
		m := parseOctets(t, winmail(octets), Limits{})
		checkMessage(t, m)
		var got []string
		for _, a := range m.Attachments {
			if a.PartID != "2" {
				got = append(got, fmt.Sprintf("%s %d", str(a.Name), a.Size))
			}
		}
		if ok := codes(m) != ProblemBadTNEF; strings.Join(got, ", ") != c.want || ok != c.ok {
			t.Errorf("%s: got %q %v, want %q %v", c.file, strings.Join(got, ", "), ok, c.want, c.ok)
		}
	}
}

func TestWinmailDatThatBreaksOffStaysInTheList(t *testing.T) {
	whole := tnefStream(tnefAttr(attAttachRendData, nil), tnefAttr(attAttachTitle, []byte("a.txt\x00")), tnefAttr(attAttachData, []byte("ABC")), tnefAttr(attAttachRendData, nil))
	for n := range len(whole) {
		m := parseOctets(t, winmail(whole[:n]), Limits{})
		checkMessage(t, m)
		last := m.Attachments[len(m.Attachments)-1]
		switch n {
		case 6, 17, 34: // a stream that ends between two attributes, without a file
		default:
			if last.PartID == "2" && codes(m) != ProblemBadTNEF {
				t.Errorf("%d octets: %q", n, codes(m))
			}
		}
		if n < 48 && (last.PartID != "2" || str(last.Name) != "winmail.dat") {
			t.Errorf("%d octets: the last attachment is %s", n, last.PartID)
		}
	}
}

func TestEncodedFilesInTextAreAttachments(t *testing.T) {
	const cat = "begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n"
	for _, c := range []struct{ fact, text, want, attachments string }{
		{"uuencode", "before\r\n" + cat + "after\r\n", "before\nafter\n", "1.1 cat.txt text/plain Cat"},
		{"two", cat + "between\r\n" + cat, "between\n", "1.1 cat.txt text/plain Cat; 1.2 cat.txt text/plain Cat"},
		{"one that never ends", "begin 644 cat.txt\r\n#0V%T\r\n", "begin 644 cat.txt\n#0V%T\n", ""},
		{"a sentence that begins so", "begin 644 of them\r\nand end\r\nend\r\n", "begin 644 of them\nand end\nend\n", ""},
		{"yEnc", "before\r\n=ybegin line=128 size=3 name=cat.bin\r\n\x6d\x8b\x9e\r\n=yend size=3\r\nafter\r\n", "before\nafter\n", "1.1 cat.bin application/octet-stream Cat"},
		{"yEnc with an escape", "=ybegin line=128 size=2 name=a.bin\r\n\x3d\x6e\x6b\r\n=yend size=2\r\n", "", "1.1 a.bin application/octet-stream \x04A"},
	} {
		m := parseOctets(t, []byte("From: a@example.com\r\n\r\n"+c.text), Limits{})
		checkMessage(t, m)
		var got []string
		for i := range m.Attachments {
			a := &m.Attachments[i]
			got = append(got, strings.Join([]string{a.PartID, str(a.Name), a.Type, content(t, a)}, " "))
		}
		if str(m.Text) != c.want || strings.Join(got, "; ") != c.attachments {
			t.Errorf("%s: got %q %q, want %q %q", c.fact, str(m.Text), got, c.want, c.attachments)
		}
	}
}

func TestSafeNamesAreFileNamesEverywhere(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"invoice.pdf", "invoice.pdf"},
		{"Rechnung für Ada (1).pdf", "Rechnung für Ada (1).pdf"},
		{"../../etc/passwd", "passwd"},
		{`..\..\windows\system.ini`, "system.ini"},
		{`C:\temp\a.txt`, "a.txt"},
		{"/etc/shadow", "shadow"},
		{".htaccess", "htaccess"},
		{"\u200b.htaccess", "htaccess"},
		{"con", "_con"},
		{"NUL.txt", "_NUL.txt"},
		{"com1.tar.gz", "_com1.tar.gz"},
		{"a\u202efdp.exe", "afdp.exe"},
		{"a\x00b.txt", "a_b.txt"},
		{"a:b*c?.txt", "a_b_c_.txt"},
		{"-rf", "rf"},
		{"..", "part-2.bin"},
		{"", "part-2.bin"},
		{"   ", "part-2.bin"},
		{"trailing. . .", "trailing"},
	} {
		if got := safeName(c.in, "2", "application/x"); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
	if got := safeName(strings.Repeat("ä", 40000)+".pdf", "2", ""); len(got) > maxSafeName || !strings.HasSuffix(got, ".pdf") || !utf8.ValidString(got) {
		t.Errorf("a long name is %d octets", len(got))
	}
}
