package pop3

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postferry/postferry/internal/mailtest/pop3d"
)

func TestBody(t *testing.T) {
	tests := []struct{ wire, want, rest string }{
		{".\r\n", "", ""},
		{"a\r\n.\r\n+OK", "a\r\n", "+OK"},
		{"\r\n.\r\n", "\r\n", ""},
		{"..\r\n.\r\n", ".\r\n", ""},
		{"...\r\n.\r\n", "..\r\n", ""},
		{".a\r\n.\r\n", "a\r\n", ""},
		{"a\n.\n.\r\n.\r\n", "a\n.\n.\r\n", ""},
		{"a\n.\r\n.\r\n", "a\n.\r\n", ""},
		{"a\r.\r\n.\r\n", "a\r.\r\n", ""},
		{".\rb\r\n.\r\n", "\rb\r\n", ""},
		{"a\r\r\n.\r\n", "a\r\r\n", ""},
		{".\n\r\n.\r\n", "\n\r\n", ""},
	}
	for _, test := range tests {
		for _, slow := range []bool{false, true} {
			var in io.Reader = strings.NewReader(test.wire)
			if slow {
				in = iotest.OneByteReader(in)
			}
			r := bufio.NewReader(in)
			got, err := io.ReadAll(newBody(r, 1000, nil))
			rest, _ := io.ReadAll(r)
			if err != nil || string(got) != test.want || string(rest) != test.rest {
				t.Errorf("%q reads as %q, %v, then %q; want %q, then %q", test.wire, got, err, rest, test.want, test.rest)
			}
		}
	}
}

// model is the definition of RFC 1939 section 3, slow and plain: lines end in
// CRLF, a lone "." ends the reply, another "." in front is stuffing.
func model(wire string) (mail string, whole bool) {
	var b strings.Builder
	for {
		line, rest, found := strings.Cut(wire, "\r\n")
		if !found {
			return "", false
		}
		if line == "." {
			return b.String(), true
		}
		b.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
		wire = rest
	}
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{".\r\n", "..\r\n.\r\n", "a\n.\n", "a\r\n.\r", ".\r\r\n.\r\n", "x\r\n.y\r\n.\r\n+OK\r\n"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, wire string, slow bool) {
		var in io.Reader = strings.NewReader(wire)
		if slow {
			in = iotest.OneByteReader(in)
		}
		got, err := io.ReadAll(newBody(bufio.NewReaderSize(in, 16), int64(len(wire)), nil))
		want, whole := model(wire)
		if (err == nil) != whole || whole && string(got) != want {
			t.Errorf("%q reads as %q, %v; want %q, %v", wire, got, err, want, whole)
		}
	})
}

func FuzzStuffedMailComesBack(f *testing.F) {
	f.Add([]byte(".\r\n..\n.\r\n"))
	f.Fuzz(func(t *testing.T, mail []byte) {
		if len(mail) > 0 && !bytes.HasSuffix(mail, []byte("\r\n")) {
			mail = append(mail, "\r\n"...)
		}
		got, err := io.ReadAll(newBody(bufio.NewReader(strings.NewReader(pop3d.Stuff(mail))), int64(len(mail)), nil))
		if err != nil || !bytes.Equal(got, mail) {
			t.Errorf("%q comes back as %q, %v", mail, got, err)
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, seed := range []string{"+OK\r\n", "-ERR [IN-USE] x\r\n", "+OK 2 320\r\n", "1 whqtswO00WBw418f9t5JxYwZ\r\n", "\r\n", "+\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, wire string) {
		line, err := readLine(bufio.NewReaderSize(strings.NewReader(wire), bufSize))
		if err != nil {
			return
		}
		if bytes.ContainsRune(line, '\n') || len(line) > maxLine {
			t.Errorf("the line %q came", line)
		}
		if _, err := parseStatus(line); err != nil && strings.ContainsAny(err.Error(), "\r\n\x00\x1b") {
			t.Errorf("control octet in %q", err)
		}
		if u, err := parseUnique(line); err == nil {
			odd := func(r rune) bool { return r < 0x21 || r > 0x7e }
			if u.num < 1 || u.uid == "" || len(u.uid) > 70 || strings.ContainsFunc(u.uid, odd) {
				t.Errorf("%q gives the unique-id %q", line, u.uid)
			}
		}
		if checkScan(line) == nil && len(strings.Fields(string(line))) < 2 {
			t.Errorf("%q passes as a scan listing", line)
		}
		codeOf(string(line))
	})
}
