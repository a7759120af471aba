package imap

import (
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/spool"
)

// relists lists INBOX in a new session and reports whether that was a whole
// listing; it fails the test unless an unchanged box cost one command.
func relists(t *testing.T, s *imapd.Server, source *Source) (whole bool) {
	t.Helper()
	x := open(t, source)
	before := len(s.Commands())
	l, err := x.List(t.Context(), "INBOX", "")
	if err != nil {
		t.Fatal(err)
	}
	x.(fetcher.Concluder).Conclude("INBOX")
	sent := s.Commands()[before:]
	if l.Unchanged && (len(sent) != 1 || len(l.Refs) > 0) {
		t.Errorf("an unchanged box cost %q and gave %d mails", sent, len(l.Refs))
	}
	x.Close()
	return !l.Unchanged
}

func TestAnUnchangedBoxCostsOneCommand(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	now := clock.NewFake(time.Now())
	source := client(t, s, dial.Plain, func(o *Options) { o.Clock = now })
	for _, step := range []struct {
		what  string
		do    func()
		whole bool
	}{
		{"at first", func() {}, true},
		{"then", func() {}, false},
		{"with another flag", func() { s.Mark("INBOX", 1, `\Seen`) }, false},
		{"with a mail more", func() { s.Slip("INBOX", two[0]) }, true},
		{"then", func() {}, false},
		{"with a mail less", func() { s.Remove("INBOX", 2) }, true},
		{"with a mail more and one less", func() { s.Remove("INBOX", 1); s.Slip("INBOX", two[1]) }, true},
		{"with new UIDs", func() { s.Renumber("INBOX", 9) }, true},
		{"after 59 minutes", func() { now.Advance(59 * time.Minute) }, false},
		{"after an hour", func() { now.Advance(time.Hour) }, true},
	} {
		step.do()
		if whole := relists(t, s, source); whole != step.whole {
			t.Errorf("%s the box was listed whole: %v, want %v", step.what, whole, step.whole)
		}
	}
}

func TestWhatIsNotConcludedIsListedAgain(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	source := client(t, s, dial.Plain, nil)
	for range 2 {
		x := open(t, source)
		if l, err := x.List(t.Context(), "INBOX", ""); err != nil || len(l.Refs) != 3 {
			t.Errorf("%d mails, %v", len(l.Refs), err)
		}
		x.Close()
	}
}

func TestAServerWhoseNumbersAreNotToBeTrustedIsAlwaysListed(t *testing.T) {
	for name, twist := range map[string]func(string) string{
		"without UIDNEXT":       func(a string) string { return strings.ReplaceAll(a, "[UIDNEXT 4]", "[FOO 4]") },
		"UIDNEXT is behind":     func(a string) string { return strings.ReplaceAll(a, "[UIDNEXT 4]", "[UIDNEXT 2]") },
		"EXISTS is too large":   func(a string) string { return strings.ReplaceAll(a, "* 3 EXISTS", "* 4 EXISTS") },
		"SEARCH leaves one out": func(a string) string { return strings.ReplaceAll(a, "ALL 1,2,3", "ALL 1,3") },
	} {
		t.Run(name, func(t *testing.T) {
			s := imapd.Start(t, imapd.Options{}, three...)
			s.Twist(func(_, answer string) string { return twist(answer) })
			source := client(t, s, dial.Plain, nil)
			for range 2 {
				if !relists(t, s, source) {
					t.Error("it was not")
				}
			}
		})
	}
}

// What comes while the session settles must not be taken for listed.
func TestAConclusionHoldsForWhatWasListedAlone(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	source := client(t, s, dial.Plain, nil)
	x := open(t, source)
	if _, err := x.List(t.Context(), "INBOX", ""); err != nil {
		t.Fatal(err)
	}
	s.Slip("INBOX", two[0])
	if err := x.Settle(t.Context(), due(spool.Action{Verb: spool.Delete}, "7/1")); err != nil {
		t.Fatal(err)
	}
	x.(fetcher.Concluder).Conclude("INBOX")
	x.Close()
	if !relists(t, s, source) {
		t.Error("the mail that came was not listed")
	}
}
