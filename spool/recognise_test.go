package spool_test

import (
	"strings"
	"testing"

	"github.com/postferry/postferry/spool"
)

func TestAHeadIsTheSameHoweverMuchOfTheMailIsSeen(t *testing.T) {
	head := "From: a@example.com\r\nSubject: one\r\n"
	whole := head + "\r\nbody\r\n\r\nmore\r\n"
	want := spool.HeadSum(100, []byte(whole))
	for name, seen := range map[string]string{
		"the header block with its empty line": head + "\r\n",
		"the header block alone":               head,
		"without its last line end":            strings.TrimSuffix(head, "\r\n"),
		"a part of the body":                   head + "\r\nbo",
	} {
		if got := spool.HeadSum(100, []byte(seen)); got != want {
			t.Errorf("%s: %x, want %x", name, got, want)
		}
	}
	for name, got := range map[string]int64{
		"another size":    spool.HeadSum(101, []byte(whole)),
		"another subject": spool.HeadSum(100, []byte(strings.Replace(whole, "one", "two", 1))),
		"nothing":         spool.HeadSum(100, nil),
	} {
		if got == want || got == 0 {
			t.Errorf("%s: %x", name, got)
		}
	}
	long := "X: " + strings.Repeat("x", spool.HeadLimit)
	if spool.HeadSum(1, []byte(long)) != spool.HeadSum(1, []byte(long+"y\r\nZ: z\r\n\r\n")) {
		t.Error("more than HeadLimit octets count")
	}
}
