package main_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
)

// What answers may ask for is sent by a sink that is there and can.
func TestDirectivesNameASinkOfTypeSMTP(t *testing.T) {
	for _, c := range []struct{ fact, directives, says string }{
		{"no sink of the name", "directives: {reply: desk}", `sinks.app.directives.reply`},
		{"a sink of another type", "directives: {forward: app}", `sinks.app.directives.forward`},
		{"a word that is none", "directives: [move, reply]", `"reply" is none of move`},
		{"a key that is none", "directives: {move: true, delete: true}", `sinks.app.directives.delete`},
		{"a sink that is true", "directives: {reply: true}", `sinks.app.directives.reply`},
	} {
		dir := t.TempDir()
		text := "version: 1\nmailboxes:\n  in: {server: imaps://imap.example.com, username: a, password: p, backfill: all, deliver: [app]}\n" +
			"sinks:\n  app:\n    type: webhook\n    url: https://app.example.com/\n    " + c.directives + "\n"
		if err := os.WriteFile(filepath.Join(dir, "postferry.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := program(t, dir, "", nil, "config", "show")
		if code != 78 || !strings.Contains(stderr, c.says) || !strings.Contains(stderr, "postferry.yaml:8:") {
			t.Errorf("%s: exit %d, %s", c.fact, code, stderr)
		}
	}
}

// The receiver's answer says what is to happen to each mail on its server; what
// it may not say, or says of no folder and no flag, leaves `after` in force.
func TestTheAnswerDecidesWhatHappensToTheMailOnItsServer(t *testing.T) {
	ask := map[string]string{
		"to be moved":             `{"move": "Tickets.Open", "flag": ["$Ticket", "\\Flagged"]}`,
		"to be flagged":           `{"directives": {"flag": "$Ticket"}}`,
		"nothing asked":           `{"ok": true}`,
		"a folder with a command": `{"move": "x\r\na1 DELETE INBOX"}`,
		"every folder":            `{"move": "*"}`,
		"every flag":              `{"flag": "\\*"}`,
		"to be deleted":           `{"flag": "\\Deleted"}`,
	}
	for _, c := range []struct {
		name, allowed string
		want          map[string]string // subject to folder and flags; Done is what after does
	}{
		{"allowed", "directives: [move, flag]", map[string]string{
			"to be moved": `Tickets.Open [$Ticket \Flagged]`, "to be flagged": `INBOX [$Ticket]`, "nothing asked": `Done []`, "a folder with a command": `Done []`,
			"every folder": `Done []`, "every flag": `Done []`, "to be deleted": `Done []`,
		}},
		{"not allowed", "directives: []", map[string]string{
			"to be moved": `Done []`, "to be flagged": `Done []`, "nothing asked": `Done []`, "a folder with a command": `Done []`,
			"every folder": `Done []`, "every flag": `Done []`, "to be deleted": `Done []`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			subjects := map[[sha256.Size]byte]string{}
			for subject := range ask {
				raw := fmt.Appendf(nil, "From: a@x.example\r\nSubject: %s\r\nMessage-ID: <%s@x.example>\r\n\r\nx\r\n", subject, strings.ReplaceAll(subject, " ", "."))
				subjects[sha256.Sum256(raw)] = subject
				w.dovecot.Append(t, ada, "INBOX", raw)
			}
			w.receiver.Answer(func(q *mailtest.Request) mailtest.Answer {
				for subject, body := range ask {
					if strings.Contains(string(q.Body), `"subject":"`+subject+`"`) {
						return mailtest.Answer{Status: 200, Body: body}
					}
				}
				return mailtest.Answer{Status: 500}
			})
			w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "after: move:Done") + "\nsinks:\n" + w.sink("app", w.receiver.URL, c.allowed))
			w.once(0)
			got := map[string]string{}
			for _, folder := range []string{"INBOX", "Done", "Tickets.Open"} {
				for sum, flags := range w.dovecot.Flags(t, ada, folder) {
					flags = slices.DeleteFunc(flags, func(f string) bool { return f == `\Seen` })
					got[subjects[sum]] = fmt.Sprintf("%s %v", folder, flags)
				}
			}
			for subject, want := range c.want {
				if got[subject] != want {
					t.Errorf("%s is in %s, not in %s", subject, got[subject], want)
				}
			}
			w.verify()
		})
	}
}
