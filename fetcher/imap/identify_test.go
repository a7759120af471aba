package imap

import (
	"strings"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
)

func TestOneMailUnderTwoLabelsHasOneName(t *testing.T) {
	s := imapd.Start(t, imapd.Options{Caps: imapd.AllCaps + " X-GM-EXT-1", Boxes: []string{"Label"}}, three...)
	s.Label("INBOX", 2, "Label")
	x := open(t, client(t, s, dial.Plain, nil))
	inbox := []fetcher.Ref{{Box: "INBOX", UID: "7/1"}, {Box: "INBOX", UID: "7/2"}, {Box: "INBOX", UID: "7/9"}}
	label := []fetcher.Ref{{Box: "Label", UID: "7/1"}}
	for _, refs := range [][]fetcher.Ref{inbox, label} {
		if err := x.(fetcher.Identifier).Identify(t.Context(), refs); err != nil {
			t.Fatal(err)
		}
	}
	if inbox[1].Same == "" || inbox[1].Same != label[0].Same || inbox[0].Same == inbox[1].Same || inbox[2].Same != "" {
		t.Errorf("names %v and %v", inbox, label)
	}
	usable(t, x, 3)
}

func TestAServerWithoutNamesForMailIsNotAsked(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	refs := []fetcher.Ref{{Box: "INBOX", UID: "7/1"}}
	if err := x.(fetcher.Identifier).Identify(t.Context(), refs); err != nil || refs[0].Same != "" {
		t.Errorf("%v, %v", refs, err)
	}
	for _, c := range s.Commands() {
		if strings.Contains(c, "FETCH") {
			t.Errorf("%s was sent", c)
		}
	}
}

func TestAServerThatDeclinesToNameMailIsLeftAlone(t *testing.T) {
	s := imapd.Start(t, imapd.Options{Caps: imapd.AllCaps + " X-GM-EXT-1", Script: imapd.Script{"UID FETCH": imapd.Say("$ BAD Could not parse command\r\n")}}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	refs := []fetcher.Ref{{Box: "INBOX", UID: "7/1"}}
	if err := x.(fetcher.Identifier).Identify(t.Context(), refs); err != nil || refs[0].Same != "" {
		t.Errorf("%v, %v", refs, err)
	}
	usable(t, x, 3)
}

func TestWhatNamesOfMailAreReadFrom(t *testing.T) {
	for items, want := range map[string]string{
		"(UID 7 X-GM-MSGID 1278455344230334865)":                       "x-gm-msgid/1278455344230334865",
		"(x-gm-msgid 18446744073709551615 uid 7)":                      "x-gm-msgid/18446744073709551615",
		"(MODSEQ (12) UID 7 X-GM-MSGID 1)":                             "",
		"(UID 7 FLAGS ())":                                             "",
		"(UID 7 X-GM-MSGID -1)":                                        "",
		"(UID 99999999999 X-GM-MSGID 1)":                               "",
		"(UID 7 X-GM-MSGID 99999999999999999999999999999999999999999)": "",
		"UID 7 X-GM-MSGID 1":                                           "",
		"":                                                             "",
	} {
		if uid, id := identified([]byte(items)); id != want && uid != 0 || uid > 0 != (want != "") {
			t.Errorf("%s names mail %d %q, want %q", items, uid, id, want)
		}
	}
}

func FuzzIdentified(f *testing.F) {
	f.Add([]byte("(UID 7 X-GM-MSGID 1278455344230334865)"))
	f.Add([]byte("(UID 7 FLAGS (\\Seen))"))
	f.Fuzz(func(t *testing.T, items []byte) {
		uid, id := identified(items)
		if (uid > 0) && (id == "") {
			t.Errorf("%q names mail %d nothing", items, uid)
		}
	})
}
