package imap

import (
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/spool"
)

var three = [][]byte{[]byte("A: 1\r\n\r\n1\r\n"), []byte("A: 2\r\n\r\n2\r\n"), []byte("A: 3\r\n\r\n3\r\n")}

// left tells what a box holds: "1 2\Deleted" are UID 1, and UID 2 marked.
func left(s *imapd.Server, box string) string {
	mails := s.Box(box)
	if mails == nil {
		return "none"
	}
	var out []string
	for _, m := range mails {
		out = append(out, string('0'+rune(m.UID))+strings.Join(m.Flags, ""))
	}
	return strings.Join(out, " ")
}

func TestSettle(t *testing.T) {
	const basic = "IMAP4rev1"
	remove, seen := spool.Action{Verb: spool.Delete}, spool.Action{Verb: spool.Seen}
	move := spool.Action{Verb: spool.Move, Arg: "Done"}
	flag := func(f string) spool.Action { return spool.Action{Verb: spool.Flag, Arg: f} }
	const refused = "7/1: NO"
	for _, test := range []struct {
		fact   string
		caps   string
		script imapd.Script
		boxes  []string
		due    []spool.Settlement
		inbox  string
		done   string // what the box Done holds
		says   string // of an error of radius Message
	}{
		{"nothing is due", "", nil, nil, nil, "1 2 3", "none", ""},
		{"keep", "", nil, nil, due(spool.Action{Verb: spool.Keep}, "7/1"), "1 2 3", "none", ""},
		{"seen", "", nil, nil, due(seen, "7/1", "7/3"), `1\Seen 2 3\Seen`, "none", ""},
		{"a keyword", "", nil, nil, due(flag("$Ferried"), "7/2"), "1 2$Ferried 3", "none", ""},
		{"a system flag", "", nil, nil, due(flag(`\Flagged`), "7/2"), `1 2\Flagged 3`, "none", ""},
		{"a flag that deletes", "", nil, nil, due(flag(`\Deleted`), "7/1"), "1 2 3", "none", "no such flag"},
		{"a flag that is no atom", "", nil, nil, due(flag("a b"), "7/1"), "1 2 3", "none", "no such flag"},
		{"a flag that ends the command", "", nil, nil, due(flag("a)\r\nX LOGOUT"), "7/1"), "1 2 3", "none", "no such flag"},
		{"delete", "", nil, nil, due(remove, "7/1", "7/3"), "2", "none", ""},
		{"delete without UIDPLUS leaves it marked", basic, nil, nil, due(remove, "7/1"), `1\Deleted 2 3`, "none", ""},
		{"delete and seen, each its own", "", nil, nil, slices.Concat(due(seen, "7/1"), due(remove, "7/2"), due(seen, "7/3")), `1\Seen 3\Seen`, "none", ""},
		{"what is gone counts as settled", "", nil, nil, due(remove, "7/9", "7/1"), "2 3", "none", ""},
		{"what is gone counts, though the server says NO", "", imapd.Script{"UID STORE": imapd.Say("$ NO no such mail\r\n")}, nil, due(seen, "7/9"), "1 2 3", "none", ""},
		{"a UID of another numbering is not touched", "", nil, nil, due(remove, "6/1", "8/2"), "1 2 3", "none", ""},
		{"what is no UID is not touched", "", nil, nil, due(remove, "x", "7/", "7/0", "7/1:3"), "1 2 3", "none", ""},
		{"a refused flag names the mail", "", imapd.Script{"UID STORE": imapd.Say("$ NO [NOPERM] read-only\r\n")}, nil, due(remove, "7/1"), "1 2 3", "none", "7/1: NO [NOPERM] read-only"},

		{"move", "", nil, []string{"Done"}, due(move, "7/1", "7/2"), "3", "1 2", ""},
		{"move makes the box", "", nil, nil, due(move, "7/1"), "2 3", "1", ""},
		{"move to where it is does nothing", "", nil, nil, due(spool.Action{Verb: spool.Move, Arg: "inbox"}, "7/1"), "1 2 3", "none", ""},
		{"move refused", "", imapd.Script{"UID MOVE": imapd.Say("$ NO full\r\n")}, []string{"Done"}, due(move, "7/1"), "1 2 3", "", refused},
		{"move to a box that cannot be made", "", imapd.Script{"CREATE": imapd.Say("$ NO [CANNOT] no\r\n")}, nil, due(move, "7/1"), "1 2 3", "none", "NO [CANNOT] no"},
		{"move without MOVE", "IMAP4rev1 UIDPLUS", nil, []string{"Done"}, due(move, "7/1", "7/3"), "2", "1 2", ""},
		{"move without MOVE and UIDPLUS", basic, nil, []string{"Done"}, due(move, "7/1"), `1\Deleted 2 3`, "1", ""},
		{"move without MOVE makes the box", basic, nil, nil, due(move, "7/1"), `1\Deleted 2 3`, "1", ""},
		{"move without MOVE, copy refused", "IMAP4rev1 UIDPLUS", imapd.Script{"UID COPY": imapd.Say("$ NO [OVERQUOTA] full\r\n")}, []string{"Done"}, due(move, "7/1"), "1 2 3", "", "NO [OVERQUOTA] full"},
		{"move without MOVE, copy refused and box made in vain", "IMAP4rev1 UIDPLUS", imapd.Script{"UID COPY": imapd.Say("$ NO [TRYCREATE] no\r\n")}, nil, due(move, "7/1"), "1 2 3", "", "NO [TRYCREATE] no"},
		{"MOVE taken back after the sign-in", "", imapd.Script{"SELECT": imapd.Before("* CAPABILITY IMAP4rev1\r\n* OK [CAPABILITY IMAP4rev1] less\r\n"), "UID STORE": imapd.Say("$ BAD no\r\n")}, []string{"Done"}, due(move, "7/1"), "2 3", "1", ""},
		{"MOVE taken back in a tagged answer", "", imapd.Script{"UID STORE": imapd.Say("$ OK [CAPABILITY IMAP4rev1] less\r\n")}, []string{"Done"}, slices.Concat(due(seen, "7/1"), due(move, "7/1")), "2 3", "1", ""},
		{"an action IMAP does not have", "", nil, nil, due(spool.Action{Verb: "burn"}, "7/1"), "1 2 3", "none", `IMAP has no burn`},
		{"a box that is gone", "", nil, nil, []spool.Settlement{{BoxKey: spool.BoxKey{Box: "Gone"}, UID: "7/1", Action: remove}}, "1 2 3", "none", ""},
		{"a box that may not be opened", "", imapd.Script{"SELECT": imapd.Say("$ NO [NOPERM] no\r\n")}, nil, due(remove, "7/1"), "1 2 3", "none", "NO [NOPERM] no"},
	} {
		t.Run(test.fact, func(t *testing.T) {
			s := imapd.Start(t, imapd.Options{Caps: test.caps, Script: test.script, Boxes: test.boxes}, three...)
			s.Mark("INBOX", 2, `\Answered`)
			x := open(t, client(t, s, dial.Plain, nil))
			err := x.Settle(t.Context(), test.due)
			if test.says == "" && err != nil {
				t.Errorf("Settle = %v", err)
			}
			if test.says != "" && (err == nil || fetcher.RadiusOf(err) != fetcher.MessageRadius || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("Settle = %v, want an error of radius Message with %q", err, test.says)
			}
			if got := strings.ReplaceAll(left(s, "INBOX"), `\Answered`, ""); got != test.inbox {
				t.Errorf("INBOX holds %q, want %q", got, test.inbox)
			}
			if got := strings.ReplaceAll(left(s, "Done"), `\Answered`, ""); got != test.done {
				t.Errorf("Done holds %q, want %q", got, test.done)
			}
			onlySafeCommands(t, s)
		})
	}
}

func due(a spool.Action, uids ...string) (all []spool.Settlement) {
	for _, u := range uids {
		all = append(all, settlement(u, a))
	}
	return all
}

// onlySafeCommands fails the test if a command was sent that names mails by their
// sequence numbers, or expunges what others have marked.
func onlySafeCommands(t *testing.T, s *imapd.Server) {
	t.Helper()
	for _, c := range s.Commands() {
		switch imapd.Keyword(c) {
		case "FETCH", "STORE", "COPY", "MOVE", "SEARCH", "EXPUNGE", "CLOSE", "UNSELECT":
			t.Errorf("%q was sent", c)
		}
	}
}

func TestForeignMarksAreLeftAlone(t *testing.T) {
	for _, caps := range []string{imapd.AllCaps, "IMAP4rev1 UIDPLUS", "IMAP4rev1"} {
		s := imapd.Start(t, imapd.Options{Caps: caps, Boxes: []string{"Done"}}, three...)
		s.Mark("INBOX", 2, `\Deleted`)
		x := open(t, client(t, s, dial.Plain, nil))
		all := slices.Concat(due(spool.Action{Verb: spool.Delete}, "7/1"), due(spool.Action{Verb: spool.Move, Arg: "Done"}, "7/3"))
		if err := x.Settle(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		x.Close()
		if !slices.ContainsFunc(s.Box("INBOX"), func(m imapd.Mail) bool { return m.UID == 2 }) {
			t.Errorf("with %q the mail another client has marked is gone", caps)
		}
		onlySafeCommands(t, s)
	}
}

func TestABoxRenumberedMeanwhileIsNotTouched(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	l, err := x.List(t.Context(), "INBOX", "")
	if err != nil {
		t.Fatal(err)
	}
	x.Close()
	s.Renumber("INBOX", 8)
	x = open(t, client(t, s, dial.Plain, nil))
	if err := x.Settle(t.Context(), due(spool.Action{Verb: spool.Delete}, l.Refs[0].UID)); err != nil {
		t.Errorf("Settle = %v", err)
	}
	err = x.Retrieve(t.Context(), l.Refs, nil)
	if err == nil || fetcher.RadiusOf(err) != fetcher.MessageRadius {
		t.Errorf("Retrieve = %v", err)
	}
	if got := left(s, "INBOX"); got != "1 2 3" {
		t.Errorf("INBOX holds %q", got)
	}
}
