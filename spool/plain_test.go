package spool_test

import (
	"crypto/sha256"
	"errors"
	"sync"
	"testing"

	"github.com/postferry/postferry/spool"
)

// Receivers keep these ids for ever: a change here is a change of every mail's
// identity. Computed by a program of four lines in another language, from the
// documentation of DeliveryID.
func TestDeliveryIDsAreFixed(t *testing.T) {
	octets := sha256.Sum256([]byte("Subject: a\r\n\r\n"))
	for _, c := range []struct {
		ordinal int
		to      spool.To
		want    string
	}{
		{0, spool.To{Sink: "app"}, "msg_4n7qio7elnbdluf5d2hdxdszozawrlaq"},
		{1, spool.To{Sink: "app"}, "msg_widppe37z5xa76kb3r3a2kossdavgpw4"},
		{0, spool.To{Sink: "app", Part: "2"}, "msg_ajvgu6m32puiwz5xuotwn7dpf2ykpzay"},
	} {
		if got := spool.DeliveryID("ada@mail.example", octets, c.ordinal, c.to); got != c.want {
			t.Errorf("ordinal %d to %v: %s; want %s", c.ordinal, c.to, got, c.want)
		}
	}
}

func TestActionsAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]spool.Action{
		"keep": {Verb: spool.Keep}, "seen": {Verb: spool.Seen}, "delete": {Verb: spool.Delete},
		"move:A:B c": {Verb: spool.Move, Arg: "A:B c"}, `flag:\Flagged`: {Verb: spool.Flag, Arg: `\Flagged`},
	} {
		got, err := spool.ParseAction(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "Keep", "delete:", "delete:30d", "move", "move:", "flag:", "copy:A"} {
		if a, err := spool.ParseAction(text); err == nil {
			t.Errorf("%q was read as %+v", text, a)
		}
	}
}

func TestTargetsAreMailsOrDeliveries(t *testing.T) {
	for text, want := range map[string]spool.Target{"17": {Item: 17}, "msg_abc": {Delivery: "msg_abc"}} {
		if got, err := spool.ParseTarget(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "x", "1x", "ada@mail.example"} {
		if got, err := spool.ParseTarget(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestAMemoIsMadeOnce(t *testing.T) {
	var i spool.Item
	if _, err := i.Memoize(func() (any, error) { return nil, errors.New("no") }); err == nil || i.Memo != nil {
		t.Errorf("memo %v, error %v", i.Memo, err)
	}
	var wg sync.WaitGroup
	made := 0
	for range 8 {
		wg.Go(func() {
			m, err := i.Memoize(func() (any, error) { made++; return made, nil })
			if m != 1 || err != nil {
				t.Errorf("memo %v, error %v", m, err)
			}
		})
	}
	wg.Wait()
}

func FuzzHeaderNames(f *testing.F) {
	f.Add([]byte("From: Ada <ada@mail.example>\r\n\r\nbody"), []byte("ada@mail.example"))
	f.Add([]byte("\n\nada@mail.example"), []byte("ada@mail.example"))
	f.Add([]byte("To: \xff\xfeada@mail.example."), []byte("a@b"))
	f.Fuzz(func(t *testing.T, octets, address []byte) {
		if len(address) == 0 {
			return
		}
		if spool.HeaderNames(octets, address) && len(octets) < len(address) {
			t.Errorf("%q is named by %q", address, octets)
		}
	})
}
