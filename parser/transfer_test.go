package parser

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

func TestTransferEncodingsAreDecoded(t *testing.T) {
	for _, c := range []struct{ fact, encoding, in, want, codes string }{
		{"base64", "base64", "QUJDRA==", "ABCD", ""},
		{"base64 in lines", "base64", "QU\r\nJD\r\nRA=\r\n=", "ABCD", ""},
		{"base64 with a semicolon", "base64;", "QUJD", "ABC", ""},
		{"base64 with a comment", "base64 (really)", "QUJD", "ABC", ""},
		{"base64 in quotes", `"base64"`, "QUJD", "ABC", ""},
		{"base64 in upper case", "BASE64", "QUJD", "ABC", ""},
		{"base64 misspelt", "base-64", "QUJD", "ABC", ""},
		{"base64 without padding", "base64", "QUJDRA", "ABCD", ProblemBadBase64},
		{"base64 without padding, three letters", "base64", "QUJDREU", "ABCDE", ProblemBadBase64},
		{"base64 with padding in the middle", "base64", "QQ==QUJD", "AABC", ProblemBadBase64},
		{"base64 with padding in the middle and no other", "base64", "QQ=QUJD", "AABC", ProblemBadBase64},
		{"base64 with too much padding", "base64", "QUI==", "AB", ProblemBadBase64},
		{"base64 with strangers", "base64", "QU*J!D", "ABC", ProblemBadBase64},
		{"base64 with the letters of URLs", "base64", "-_-_", "\xfb\xff\xbf", ""},
		{"base64 with a minus for a plus", "base64", "-A==", "\xf8", ""},
		{"base64 with an underscore for a slash", "base64", "_w==", "\xff", ""},
		{"base64 with blanks", "base64", "QU JD", "ABC", ""},
		{"base64 with tabs", "base64", "QU\tJD", "ABC", ""},
		{"base64 with lone CRs", "base64", "QU\rJD\r\r\nRA==", "ABCD", ""},
		{"one letter too many", "base64", "QUJDQ", "ABC", ProblemBadBase64},
		{"quoted-printable", "quoted-printable", "a=3Db=\r\nc", "a=bc", ""},
		{"quoted-printable in small letters", "quoted-printable", "=c3=a4", "\xc3\xa4", ""},
		{"white space added at the end of a line", "quoted-printable", "a= \r\nb \t\r\nc", "ab\r\nc", ""},
		{"a broken escape", "quoted-printable", "a=ZZb=4", "a=ZZb=4", ProblemBadQP},
		{"an equals sign at the end", "quoted-printable", "a=", "a", ""},
		{"uuencode", "x-uuencode", "begin 644 a\r\n#0V%T\r\n`\r\nend\r\n", "Cat", ""},
		{"uuencode without its beginning", "x-uuencode", "#0V%T\r\n`\r\nend\r\n", "Cat", ""},
		{"uuencode that breaks off", "x-uuencode", "begin 644 a\r\n&0V%T", "Cat", ProblemBadUUencode},
		{"7bit", "7bit", "a=3D", "a=3D", ""},
		{"8bit", "8bit", "\xe4", "\xe4", ""},
		{"binary", "binary", "a\x00b", "a\x00b", ""},
		{"none", "", "abc", "abc", ""},
		{"what nobody knows", "x-secret", "abc", "abc", ProblemBadEncoding},
	} {
		m := parseOctets(t, encoded("application/x", c.encoding, c.in), Limits{})
		checkMessage(t, m)
		got := content(t, &m.Attachments[0])
		if got != c.want || codes(m) != c.codes {
			t.Errorf("%s: got %q %q, want %q %q", c.fact, got, codes(m), c.want, c.codes)
		}
	}
}

func content(t testing.TB, a *Attachment) string {
	t.Helper()
	r, err := a.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPiecesOfAnySizeDecodeTheSame reads what does not fit into one buffer, in
// pieces of one octet and of random sizes.
func TestPiecesOfAnySizeDecodeTheSame(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	octets := make([]byte, 200<<10)
	for i := range octets {
		octets[i] = byte(rnd.Uint32())
	}
	var lines strings.Builder
	for s := base64.StdEncoding.EncodeToString(octets); s != ""; {
		n := min(76, len(s))
		lines.WriteString(s[:n] + "\r\n")
		s = s[n:]
	}
	var qp strings.Builder
	for i, c := range octets {
		qp.WriteString("=" + strings.ToUpper(string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])))
		if i%25 == 24 && i%1000 != 999 {
			qp.WriteString("=\r\n")
		}
	}
	for _, c := range []struct {
		name, text string
		encoding   encoding
	}{{"base64 in lines", lines.String(), encBase64}, {"base64 in one line", strings.ReplaceAll(lines.String(), "\r\n", ""), encBase64},
		{"base64 with blanks", strings.ReplaceAll(lines.String(), "\r\n", " "), encBase64}, {"quoted-printable", qp.String(), encQP}} {
		for _, src := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text)), iotest.HalfReader(strings.NewReader(c.text)), iotest.DataErrReader(strings.NewReader(c.text))} {
			d := decodeFrom(src, c.encoding, int64(len(c.text)))
			got, err := io.ReadAll(d)
			if err != nil || !bytes.Equal(got, octets) || d.mended() {
				t.Errorf("%s from %T: %d octets of %d, %v, mended %v", c.name, src, len(got), len(octets), err, d.mended())
			}
		}
	}
}

// TestBase64PassesOnOnlyWhatIsCanonical compares what is passed on undecoded with
// what encoding makes anew: bits that say nothing, and letters of URLs, differ.
func TestBase64PassesOnOnlyWhatIsCanonical(t *testing.T) {
	for _, in := range []string{"QUJD", "QUI=", "QUJ=", "QQ==", "QR==", "-_-_", "QUJD\r\nQUJD", "QU JD", "QQ==QQ==", "QUI==", "QQ=", "QUJD=", "QUJDQUI==", "QQ===", "QUJDRA", "=", "====", ""} {
		m := parseOctets(t, encoded("application/x", "base64", in), Limits{})
		a := &m.Attachments[0]
		if err := a.checkBase64([]byte(content(t, a))); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestLongQuotedPrintableLinesAreRead(t *testing.T) {
	for n := 32<<10 - 5; n < 32<<10+5; n++ {
		d := decodeFrom(strings.NewReader(strings.Repeat("a", n)+"=C3=A4=\r\nb  \r\nc"), encQP, 64<<10)
		got, _ := io.ReadAll(d)
		if want := strings.Repeat("a", n) + "äb\r\nc"; string(got) != want || d.mended() {
			t.Errorf("%d: ends in %q", n, got[max(len(got)-20, 0):])
		}
	}
}
