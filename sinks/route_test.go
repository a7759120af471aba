package sinks

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/spool"
)

func TestAMailWalksItsRoutes(t *testing.T) {
	yes := func(*parser.Message, Origin) (bool, error) { return true, nil }
	no := func(*parser.Message, Origin) (bool, error) { return false, nil }
	fails := func(*parser.Message, Origin) (bool, error) { return true, errors.New("division by zero") }
	panics := func(*parser.Message, Origin) (bool, error) { panic("nil map") }
	for _, c := range []struct {
		name   string
		routes []Route
		to     string
		failed string
	}{
		{"no routes", nil, "", ""},
		{"no condition", []Route{{To: "a"}, {To: "b"}}, "a b", ""},
		{"conditions", []Route{{To: "a", When: yes}, {To: "b", When: no}, {To: "c", When: yes}}, "a c", ""},
		{"stop ends the walk", []Route{{To: "a", When: yes, Stop: true}, {To: "b"}}, "a", ""},
		{"stop of an entry that does not hold", []Route{{To: "a", When: no, Stop: true}, {To: "b"}}, "b", ""},
		{"each sink once", []Route{{To: "a"}, {To: "b"}, {To: "a"}}, "a b", ""},
		{"a failing condition", []Route{{To: "a", When: fails}, {To: "b"}}, "a b", "a"},
		{"a panicking condition", []Route{{To: "a", When: panics}, {To: "b"}}, "a b", "a"},
		{"a failing condition does not stop", []Route{{To: "a", When: fails, Stop: true}, {To: "b"}}, "a b", "a"},
		{"another route to the same sink after it", []Route{{To: "a", When: fails}, {To: "a", When: yes}}, "a", ""},
		{"another route to the same sink before it", []Route{{To: "a"}, {To: "a", When: fails}}, "a", ""},
		{"another route that does not hold", []Route{{To: "a", When: fails}, {To: "a", When: no}}, "a", "a"},
	} {
		to, failed := Evaluate(c.routes, &parser.Message{}, Origin{})
		if got := strings.Join(to, " "); got != c.to {
			t.Errorf("%s: to %q", c.name, got)
		}
		if got := strings.Join(slices.Sorted(maps.Keys(failed)), " "); got != c.failed {
			t.Errorf("%s: failed %q", c.name, got)
		}
	}
}

func TestOriginsNameTheMailAsItsServerDid(t *testing.T) {
	imap := OriginOf(&spool.Item{Mailbox: "in", Protocol: "imap", BoxKey: spool.BoxKey{Box: "INBOX"}, UID: "1693/4294967295", Flags: []string{"$Ferried"}})
	if *imap.Folder != "INBOX" || *imap.UIDValidity != 1693 || *imap.UID != 4294967295 || imap.UIDL != nil || len(imap.Flags) != 1 {
		t.Errorf("%+v", imap)
	}
	pop := OriginOf(&spool.Item{Mailbox: "in", Protocol: "pop3", UID: "1/2"})
	if pop.Folder != nil || pop.UIDValidity != nil || pop.UID != nil || *pop.UIDL != "1/2" || pop.Flags == nil {
		t.Errorf("%+v", pop)
	}
	odd := OriginOf(&spool.Item{Mailbox: "in", Protocol: "imap", UID: "x/99999999999"})
	if odd.UIDValidity != nil || odd.UID != nil {
		t.Errorf("%+v", odd)
	}
}

func TestAMailboxHasAnAddressWhereItsUserNameIsOne(t *testing.T) {
	for account, want := range map[string]string{
		"support@example.com@imap.example.com": "support@example.com", "support@imap.example.com": "", "": "", "@": "",
	} {
		if got := OriginOf(&spool.Item{BoxKey: spool.BoxKey{Account: account}}).Address; got != want {
			t.Errorf("%q has %q", account, got)
		}
	}
}
