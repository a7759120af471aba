package webhook

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
	"github.com/postferry/postferry/spool"
)

func TestAnswersAskForWhatTheSinkAllows(t *testing.T) {
	all := Directives{Move: true, Flag: true, RetryAfter: true}
	move := func(to string) spool.Action { return spool.Action{Verb: spool.Move, Arg: to} }
	flag := func(f string) spool.Action { return spool.Action{Verb: spool.Flag, Arg: f} }
	for _, c := range []struct {
		name    string
		allowed Directives
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

		{"a sink that allows nothing", Directives{}, `{"move": "Done", "flag": "$A"}`, nil, "200"},
		{"a move that is not allowed", Directives{Flag: true}, `{"move": "Done", "flag": "$A"}`, []spool.Action{flag("$A")}, "move is not in the sink's directives"},
		{"a flag that is not allowed", Directives{Move: true}, `{"move": "Done", "flag": "$A"}`, []spool.Action{move("Done")}, "flag is not in the sink's directives"},

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
	receipt, err := makeSink(t, Options{URL: r.URL, Directives: Directives{Move: true, Flag: true}}, sinks.Env{}).Deliver(t.Context(), d)
	if err != nil || receipt.Actions != nil || !strings.Contains(receipt.Detail, "knows no folders") {
		t.Errorf("%+v, %v", receipt, err)
	}
}

func TestAYesMayAskForTheMailAgain(t *testing.T) {
	r := mailtest.NewReceiver(t)
	r.Answer(func(*mailtest.Request) mailtest.Answer {
		return mailtest.Answer{Status: 200, Body: `{"retry_after": 90, "move": "Done"}`}
	})
	_, err := deliver(t, makeSink(t, Options{URL: r.URL, Directives: Directives{Move: true, RetryAfter: true}}, sinks.Env{}))
	if wait, _ := sinks.RetryAfterOf(err); verdictOf(err) != temporary || wait != 90*time.Second {
		t.Errorf("%s, %s, %v", verdictOf(err), wait, err)
	}
	if receipt, err := deliver(t, makeSink(t, Options{URL: r.URL, Directives: Directives{Move: true}}, sinks.Env{})); err != nil || len(receipt.Actions) != 1 {
		t.Errorf("not allowed: %+v, %v", receipt, err)
	}
}

// An answer may have a mail in it, for the smtp sink that the webhook names.
func TestAnAnswerMayHaveAReplyAndAForwardedMailInIt(t *testing.T) {
	both := Directives{Reply: "desk", Forward: "relay"}
	long := strings.Repeat("a", 300<<10)
	for _, c := range []struct {
		name    string
		allowed Directives
		body    string
		want    map[string]string // by verb and sink
		says    string            // in the receipt
	}{
		{"a reply", both, `{"reply": {"text": "Danke für 1 €"}}`, map[string]string{"reply by desk": `{"text":"Danke für 1 €"}`}, "200"},
		{"a reply that is a text", both, `{"reply": "Thanks"}`, map[string]string{"reply by desk": `{"text":"Thanks"}`}, "200"},
		{"both", both, `{"reply": "a", "forward": {"to": "Ada <ada@x.example>, b@x.example", "subject": "S"}}`, map[string]string{
			"reply by desk": `{"text":"a"}`, "forward by relay": `{"subject":"S","to":[{"name":"Ada","email":"ada@x.example"},{"name":null,"email":"b@x.example"}]}`}, "200"},
		{"in an object of their own", both, `{"directives": {"reply": {"html": "<b>a</b>", "all": true}}}`, map[string]string{"reply by desk": `{"all":true,"html":"<b>a</b>"}`}, "200"},
		{"addresses as JMAP has them", both, `{"forward": {"to": [{"name": "Ada, B.", "email": "ada@x.example"}], "cc": ["b@x.example"], "bcc": "c@x.example"}}`, map[string]string{
			"forward by relay": `{"to":[{"name":"Ada, B.","email":"ada@x.example"}],"cc":[{"name":null,"email":"b@x.example"}],"bcc":[{"name":null,"email":"c@x.example"}]}`}, "200"},
		{"a forwarded mail that says nothing", both, `{"forward": {}}`, map[string]string{"forward by relay": `{}`}, "200"},
		{"null", both, `{"reply": null, "forward": null}`, nil, "200"},
		{"a text that is nearly too long", both, `{"reply": {"text": "` + long[:256<<10] + `"}}`, map[string]string{"reply by desk": `{"text":"` + long[:256<<10] + `"}`}, "200"},
		{"one good, one bad", both, `{"reply": "a", "forward": {"to": "nobody"}}`, map[string]string{"reply by desk": `{"text":"a"}`}, "is no address"},

		{"a reply that is not allowed", Directives{Forward: "relay", Move: true}, `{"reply": "a"}`, nil, "reply is not in the sink's directives"},
		{"a sink that allows nothing", Directives{}, `{"reply": "a"}`, nil, "200"},
		{"a reply that says nothing", both, `{"reply": {"subject": "a"}}`, nil, "it says nothing"},
		{"a reply that is empty", both, `{"reply": ""}`, nil, "it says nothing"},
		{"a forwarded mail that is a text", both, `{"forward": "a@x.example"}`, nil, "cannot unmarshal"},
		{"a key that is none", both, `{"reply": {"text": "a", "from": "a@x.example"}}`, nil, `unknown field "from"`},
		{"a text that is a number", both, `{"reply": {"text": 7}}`, nil, "cannot unmarshal"},
		{"a list of replies", both, `{"reply": ["a", "b"]}`, nil, "cannot unmarshal"},
		{"all of a forwarded mail", both, `{"forward": {"all": true}}`, nil, "all goes with reply"},
		{"a subject with a header field in it", both, `{"reply": {"text": "a", "subject": "a\r\nBcc: b@x.example"}}`, nil, "control characters"},
		{"an address with a header field in it", both, `{"forward": {"to": "a@x.example\r\nBcc: b@x.example"}}`, nil, "control characters"},
		{"an address whose name has a line end in disguise", both, `{"forward": {"to": "=?utf-8?q?a=0D=0AB?= <a@x.example>"}}`, nil, "control characters"},
		{"an object whose address has two", both, `{"forward": {"to": {"email": "a@x.example, b@x.example"}}}`, nil, "is no address"},
		{"NUL", both, `{"reply": {"text": "a\u0000"}}`, nil, "NUL"},
		{"a text too long", both, `{"reply": {"text": "` + long + `"}}`, nil, "more than 262144 octets"},
		{"what grows beyond bounds as it is stored", both, `{"reply": {"text": "` + strings.Repeat("\u2028", 87381) + `", "html": "` + strings.Repeat("\u2028", 87381) + `"}}`, nil, "more than 1048576 octets as JSON"},
		{"an answer too long", both, `{"reply": {"text": "` + strings.Repeat(long, 4) + `"}}`, nil, "longer than 1048576 octets"},
		{"fifty-one addresses", both, `{"forward": {"to": "` + strings.TrimSuffix(strings.Repeat("a@x.example, ", 51), ", ") + `"}}`, nil, "more than 50 addresses"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := mailtest.NewReceiver(t)
			r.Answer(func(*mailtest.Request) mailtest.Answer { return mailtest.Answer{Status: 200, Body: c.body} })
			receipt, err := deliver(t, makeSink(t, Options{URL: r.URL, Directives: c.allowed}, sinks.Env{}))
			got := map[string]string{}
			for _, e := range receipt.Errands {
				got[e.Verb+" by "+e.Sink] = string(e.Content)
			}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) || !strings.Contains(receipt.Detail, c.says) || strings.ContainsAny(receipt.Detail, "\r\n") {
				t.Errorf("%.300v %.300s, %v", got, receipt.Detail, err)
			}
			if len(receipt.Detail) > 3 != (c.says != "200") {
				t.Errorf("the receipt says %s", receipt.Detail)
			}
		})
	}
}

func FuzzDirectives(f *testing.F) {
	for _, s := range []string{`{}`, `{"move":"a"}`, `{"flag":["$A",["b"],null]}`, `{"directives":[]}`, `{"move":"a\r\nb","flag":"\\*"}`, `{"retry_after":1e999}`, `{"retry_after":-1}`,
		`{"reply":"a","forward":{"to":"a@x.example"}}`, `{"reply":{"text":"a","to":["A <a@x.example>",{"email":"b@x.example"}]}}`, `{"forward":{"to":[["a"]],"subject":"a\r\nBcc: b@x.example"}}`} {
		f.Add(s)
	}
	d := Directives{Move: true, Flag: true, RetryAfter: true, Reply: "desk", Forward: "desk"}
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
		for _, e := range a.errands {
			said, err := sinks.DirectiveOf(&e)
			if err != nil || e.Sink != "desk" || len(e.Content) > spool.MaxErrand {
				t.Fatalf("%q asks for %+v, %v", text, e, err)
			}
			for _, to := range slices.Concat(said.To, said.CC, said.BCC) {
				if strings.ContainsAny(to.Email+said.Subject, "\r\n\x00") || to.Name != nil && strings.ContainsAny(*to.Name, "\r\n\x00") {
					t.Fatalf("%q asks for %+v", text, said)
				}
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
