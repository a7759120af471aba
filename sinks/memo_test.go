package sinks

import (
	"bytes"
	"io"
	"testing"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/spool"
)

func TestAMailWithMuchTextIsParsedAnewInsteadOfKept(t *testing.T) {
	line := []byte("Still nothing here, and it is four days now.\r\n")
	for _, test := range []struct {
		fact   string
		text   int // octets
		parsed int // after two uses
	}{
		{"an ordinary one", 4 << 10, 1},
		{"one with a long text", 200 << 10, 1},
		{"one with more text than is kept", 2 << 20, 2},
	} {
		t.Run(test.fact, func(t *testing.T) {
			d := New(nil, nil, nil, Options{})
			parsed := 0
			d.parse = func(r io.ReaderAt, size int64, l parser.Limits) (*parser.Message, error) {
				parsed++
				return parser.Parse(r, size, l)
			}
			raw := append([]byte("Subject: order 1042\r\n\r\n"), bytes.Repeat(line, test.text/len(line)+1)...)
			i := &spool.Item{Octets: spool.NewOctets(raw)}
			for range 2 {
				m, err := d.message(i)
				if err != nil || m.Subject == nil || *m.Subject != "order 1042" || m.Text == nil || len(*m.Text) < test.text*9/10 {
					t.Fatalf("message: %v", err)
				}
			}
			if parsed != test.parsed || (i.Memo != nil) != (test.parsed == 1) {
				t.Errorf("parsed %d times, kept %v", parsed, i.Memo != nil)
			}
		})
	}
}
