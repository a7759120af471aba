package demo

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
	"testing"
)

func FuzzReadCommand(f *testing.F) {
	for _, s := range []string{
		"USER mrose\r\nPASS tanstaaf\r\n", "APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n", "stat\n", "TOP 1 10\r\n",
		"\r\n", "\n\n", "RETR  1 \r\n", "NO\x00OP\r\nNOOP\r\n", "PASS p\xc3\xa4ss\r\n", "A\rB\r\n", strings.Repeat("x", 254) + "\n",
		strings.Repeat("x", 255) + "\n", strings.Repeat("x", 5000), "QUIT",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(sent), 4096)
		for {
			line, _, whole := bytes.Cut(sent, []byte("\n"))
			c, err := readCommand(r)
			if err != nil && !errors.Is(err, errNotACommand) {
				if whole && len(line) < maxLine {
					t.Fatalf("%q cannot be read: %v", line, err)
				}
				return
			}
			if !whole || len(line) >= maxLine {
				t.Fatalf("%q was read as %+v", line, c)
			}
			sent = sent[len(line)+1:]
			line = bytes.TrimSuffix(line, []byte("\r"))
			if bad := bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }); bad != (err != nil) {
				t.Fatalf("%q gave %+v, %v", line, c, err)
			}
			if err == nil && (strings.Contains(c.word, " ") || !bytes.HasSuffix(line, []byte(c.rest)) || strings.ContainsAny(c.word+c.rest, "\r\n\x00")) {
				t.Fatalf("%q was read as %+v", line, c)
			}
			for want := range 3 {
				if args, ok := c.args(want); ok && len(args) != want {
					t.Fatalf("%q has %d arguments: %v", line, want, args)
				}
			}
		}
	})
}
