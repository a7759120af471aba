package imap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/spool"
)

func TestWhatNamesOfFoldersStandFor(t *testing.T) {
	s := imapd.Start(t, imapd.Options{
		Boxes: []string{"Archive", "Bin", "Lists/go", "Lists/go/dev", "Lists/rust", "Müll", "Sent"},
		Uses:  map[string]string{"Müll": `\HasNoChildren \junk`, "Bin": `\Trash`, "Archive": `\Archive`, "Sent": `\Sent`},
	})
	x := open(t, client(t, s, dial.Plain, nil)).(fetcher.Finder)
	for _, c := range []struct {
		names string
		want  string
	}{
		{"INBOX", "INBOX"},
		{"Nowhere", "Nowhere"}, // said when it is opened
		{"Lists/*", "Lists/go Lists/go/dev Lists/rust"},
		{"Lists/%", "Lists/go Lists/rust"},
		{"*/dev", "Lists/go/dev"},
		{"%/dev", ""},
		{"*", "Archive INBOX Lists/go Lists/go/dev Lists/rust"},
		{"inbox *", "inbox Archive Lists/go Lists/go/dev Lists/rust"},
		{`\Junk Bin`, "Müll Bin"},
		{`* \Trash`, "Archive INBOX Lists/go Lists/go/dev Lists/rust Bin"},
		{"* !Lists/go* !\\Archive", "INBOX Lists/rust"},
		{"!Lists/rust Lists/% Lists/go", "Lists/go"},
		{"Absent/*", ""},
	} {
		got, err := x.Boxes(t.Context(), strings.Fields(c.names))
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s stands for %q, %v, want %s", c.names, got, err, c.want)
		}
	}
	got, err := x.Boxes(t.Context(), []string{"INBOX", `\Flagged`})
	if !errors.Is(err, ErrNoFolder) || !slices.Equal(got, []string{"INBOX"}) || !strings.Contains(err.Error(), "Lists/go") {
		t.Errorf("a use that no folder has: %q, %v", got, err)
	}
}

func TestFoldersAreNotListedWherePlainNamesAreGiven(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, nil)).(fetcher.Finder)
	if _, err := x.Boxes(t.Context(), []string{"INBOX"}); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(s.Commands(), `LIST "" *`) {
		t.Errorf("commands %q", s.Commands())
	}
}

func TestSpecialUsesAreAskedForWhereTheServerTellsThem(t *testing.T) {
	s := imapd.Start(t, imapd.Options{Caps: imapd.AllCaps + " SPECIAL-USE LIST-EXTENDED", Boxes: []string{"Spam"}, Uses: map[string]string{"Spam": `\Junk`}})
	x := open(t, client(t, s, dial.Plain, nil))
	if _, err := x.List(t.Context(), `\Junk`, ""); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`LIST "" "*" RETURN (SPECIAL-USE)`, "SELECT \"Spam\""} {
		if !slices.Contains(s.Commands(), want) {
			t.Errorf("no %s among %q", want, s.Commands())
		}
	}
}

func TestAPatternOfHostileLengthIsCheap(t *testing.T) {
	if matches(strings.Repeat("*a", 400)+"b", strings.Repeat("a", 900), '/') {
		t.Error("it matches")
	}
}

func TestMailIsMovedToTheFolderOfAUse(t *testing.T) {
	s := imapd.Start(t, imapd.Options{Boxes: []string{"Papierkorb"}, Uses: map[string]string{"Papierkorb": `\Trash`}}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	if err := x.Settle(t.Context(), due(spool.Action{Verb: spool.Move, Arg: `\Trash`}, "7/2")); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Box("Papierkorb")); n != 1 || len(s.Box("INBOX")) != 2 {
		t.Errorf("%d mails were moved, %d are left", n, len(s.Box("INBOX")))
	}
	err := x.Settle(t.Context(), due(spool.Action{Verb: spool.Move, Arg: `\Junk`}, "7/1"))
	if fetcher.RadiusOf(err) != fetcher.MessageRadius || !errors.Is(err, ErrNoFolder) {
		t.Errorf("Settle = %v", err)
	}
}

// Courier keeps all boxes of a user below INBOX and refuses others.
func TestABoxIsMadeBelowThePrefixOfTheNamespace(t *testing.T) {
	s := imapd.Start(t, imapd.Options{Caps: imapd.AllCaps + " NAMESPACE", Script: imapd.Script{
		"NAMESPACE":       imapd.Say("* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"#shared.\" \".\"))\r\n$ OK done\r\n"),
		`CREATE "Done"`:   imapd.Say("$ NO Invalid mailbox name\r\n"),
		`UID MOVE 1 Done`: imapd.Say("$ NO [TRYCREATE] Mailbox does not exist\r\n"),
	}}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	for uid := 1; uid <= 2; uid++ {
		if err := x.Settle(t.Context(), due(spool.Action{Verb: spool.Move, Arg: "Done"}, fmt.Sprintf("7/%d", uid))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Box("INBOX.Done")); n != 2 {
		t.Errorf("%d mails are in INBOX.Done; commands %q", n, s.Commands())
	}
	tried := 0
	for _, c := range s.Commands() {
		if strings.HasPrefix(c, "CREATE") {
			tried++
		}
	}
	if tried != 2 {
		t.Errorf("CREATE was sent %d times", tried)
	}
}
