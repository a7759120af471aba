package webhook

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
	"github.com/postferry/postferry/spool"
)

func TestAnswersAskForWhatTheSinkAllows(t *testing.T) {
	all := []string{"move", "flag", "retry_after"}
	move := func(to string) spool.Action { return spool.Action{Verb: spool.Move, Arg: to} }
	flag := func(f string) spool.Action { return spool.Action{Verb: spool.Flag, Arg: f} }
	for _, c := range []struct {
		name    string
		allowed []string
		body    string
		want    []spool.Action
		says    string // in the receipt
	}{
		{"a move", all, `{"move": "Done/2026"}`, []spool.Action{move("Done/2026")}, "200"},
		{"a flag", all, `{"flag": "$Ticket"}`, []spool.Action{flag("$Ticket")}, "200"},
		{"flags, then the move", all, `{"move": "Done", "flag": ["$A", "\\Flagged"]}`, []spool.Action{flag("$A"), flag(`\Flagged`), move("Done")}, "200"},
		{"in an object of their own", all, `{"move": 7, "directives": {"move": "Done"}}`, []spool.Action{move("Done")}, "200"},
		{"a folder in another script", all, `{"move": "Erledigt für Ölße 日本"}`, []spool.Action{move("Erledigt für Ölße 日本")}, "200"},
		{"nothing", all, `{"ok": true}`, nil, "200"},
		{"no JSON", all, `move: Done`, nil, "200"},
		{"an answer that is empty", all, ``, nil, "200"},
		{"null", all, `{"move": null, "flag": null}`, nil, "200"},

		{"a sink that allows nothing", nil, `{"move": "Done", "flag": "$A"}`, nil, "200"},
		{"a move that is not allowed", []string{"flag"}, `{"move": "Done", "flag": "$A"}`, []spool.Action{flag("$A")}, "move is not in the sink's directives"},
		{"a flag that is not allowed", []string{"move"}, `{"move": "Done", "flag": "$A"}`, []spool.Action{move("Done")}, "flag is not in the sink's directives"},

		{"a folder with a line end", all, `{"move": "Done\r\na1 DELETE INBOX"}`, nil, `Done\r\na1 DELETE INBOX`},
		{"a folder with NUL", all, `{"move": "a\u0000b"}`, nil, "is no folder"},
		{"a folder with a line separator", all, `{"move": "a\u2028b"}`, nil, "is no folder"},
		{"a wildcard of folders", all, `{"move": "*"}`, nil, "is no folder"},
		{"a percent sign", all, `{"move": "Done/%"}`, nil, "is no folder"},
		{"a folder without a name", all, `{"move": ""}`, nil, "is no folder"},
		{"a folder of spaces", all, `{"move": "  "}`, nil, "is no folder"},
		{"a folder too long", all, `{"move": "` + strings.Repeat("x", 256) + `"}`, nil, "is no folder"},
		{"a folder that is a number", all, `{"move": 7}`, nil, "is no folder"},
		{"a list of folders", all, `{"move": ["a", "b"]}`, nil, "is no folder"},
		{"every flag", all, `{"flag": "\\*"}`, nil, "is no flag"},
		{"a wildcard of flags", all, `{"flag": "*"}`, nil, "is no flag"},
		{"deletion by a flag", all, `{"flag": "\\Deleted"}`, nil, "is no flag"},
		{"a flag of the server's own", all, `{"flag": "\\Recent"}`, nil, "is no flag"},
		{"a flag with a line end", all, `{"flag": "$A\r\na1 LOGOUT"}`, nil, "is no flag"},
		{"a flag that is a list of flags", all, `{"flag": "$A \\Deleted"}`, nil, "is no flag"},
		{"a flag that closes a list", all, `{"flag": "$A) FOO ("}`, nil, "is no flag"},
		{"a flag that is no US-ASCII", all, `{"flag": "é"}`, nil, "is no flag"},
		{"the good ones of several", all, `{"flag": ["$A", "*", "$B"]}`, []spool.Action{flag("$A"), flag("$B")}, "is no flag"},
		{"a wait that is a text", all, `{"retry_after": "soon", "flag": "$A"}`, []spool.Action{flag("$A")}, "no number of seconds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := mailtest.NewReceiver(t)
			r.Answer(func(*mailtest.Request) mailtest.Answer { return mailtest.Answer{Status: 200, Body: c.body} })
			receipt, err := deliver(t, makeSink(t, Options{URL: r.URL, Directives: c.allowed}, sinks.Env{}))
			if err != nil || !reflect.DeepEqual(receipt.Actions, c.want) || !strings.Contains(receipt.Detail, c.says) || strings.ContainsAny(receipt.Detail, "\r\n") {
				t.Errorf("%+v, %v", receipt, err)
			}
			if len(receipt.Detail) > 3 != (c.says != "200") {
				t.Errorf("the receipt says %s", receipt.Detail)
			}
		})
	}
}

func TestAMailboxWithoutFoldersIsAskedForNothing(t *testing.T) {
	r := mailtest.NewReceiver(t)
	r.Answer(func(*mailtest.Request) mailtest.Answer {
		return mailtest.Answer{Status: 200, Body: `{"move": "Done", "flag": "$A"}`}
	})
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	unique := "1"
	d.Origin = sinks.Origin{Name: "support", Protocol: "pop3", UIDL: &unique}
	receipt, err := makeSink(t, Options{URL: r.URL, Directives: []string{"move", "flag"}}, sinks.Env{}).Deliver(t.Context(), d)
	if err != nil || receipt.Actions != nil || !strings.Contains(receipt.Detail, "knows no folders") {
		t.Errorf("%+v, %v", receipt, err)
	}
}

func TestAYesMayAskForTheMailAgain(t *testing.T) {
	r := mailtest.NewReceiver(t)
	r.Answer(func(*mailtest.Request) mailtest.Answer {
		return mailtest.Answer{Status: 200, Body: `{"retry_after": 90, "move": "Done"}`}
	})
	_, err := deliver(t, makeSink(t, Options{URL: r.URL, Directives: []string{"move", "retry_after"}}, sinks.Env{}))
	if wait, _ := sinks.RetryAfterOf(err); verdictOf(err) != temporary || wait != 90*time.Second {
		t.Errorf("%s, %s, %v", verdictOf(err), wait, err)
	}
	if receipt, err := deliver(t, makeSink(t, Options{URL: r.URL, Directives: []string{"move"}}, sinks.Env{})); err != nil || len(receipt.Actions) != 1 {
		t.Errorf("not allowed: %+v, %v", receipt, err)
	}
}

func TestDirectivesThatAreNoneAreRefused(t *testing.T) {
	for _, name := range []string{"delete", "Move", "*", ""} {
		if _, err := New("app", Options{URL: "https://a.example/", Directives: []string{name}}, payload.Renderer{}, sinks.Env{}); err == nil {
			t.Errorf("%q is a directive", name)
		}
	}
}

func FuzzDirectives(f *testing.F) {
	for _, s := range []string{`{}`, `{"move":"a"}`, `{"flag":["$A",["b"],null]}`, `{"directives":[]}`, `{"move":"a\r\nb","flag":"\\*"}`, `{"retry_after":1e999}`, `{"retry_after":-1}`} {
		f.Add(s)
	}
	d, err := newDirectives([]string{"move", "flag", "retry_after"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var body any
		if json.Unmarshal([]byte(text), &body) != nil {
			return
		}
		a := d.read(body, true)
		for _, action := range a.actions {
			read, err := spool.ParseAction(action.String())
			if err != nil || read != action || strings.ContainsAny(action.Arg, "\r\n\x00*%") {
				t.Fatalf("%q asks for %+v, %v", text, action, err)
			}
		}
		if a.again < 0 || a.again > maxWait || len(a.actions) > mostFlags+1 {
			t.Fatalf("%q asks for %+v", text, a)
		}
		if said := fmt.Sprint(a.refused); strings.ContainsAny(said, "\r\n\x1b") {
			t.Fatalf("%q", said)
		}
	})
}
