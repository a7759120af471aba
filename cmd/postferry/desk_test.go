package main_test

import (
	"bytes"
	flags "flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/smtpd"
)

var updateDesk = flags.Bool("update-desk", false, "write the mails of examples/support-desk anew")

// differs are the header fields that are others each time.
var differs = regexp.MustCompile(`(?mi)^(Date|Message-ID|X-Postferry-Trace): .*\r\n`)

// supportDesk is examples/support-desk with servers in place of those it names. read
// gives a file of it.
func supportDesk(t *testing.T) (w *world, server *smtpd.Server, dir string, read func(name string) string) {
	t.Helper()
	w = newWorld(t)
	server = smtpd.Start(t, smtpd.Options{SASL: smtpd.Mechanisms("support@example.com", password), Required: true})
	dir = filepath.Join(mailtest.ModuleRoot(t), "examples", "support-desk")
	read = func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	w.receiver.Answer(func(*mailtest.Request) mailtest.Answer {
		return mailtest.Answer{Status: 200, Body: read("answer.json")}
	})
	w.dovecot.AddUser(t, "support@example.com", password)
	w.dovecot.Append(t, "support@example.com", "INBOX", []byte(read("mail.eml")))
	text := read("postferry.yaml")
	for _, pair := range [][2]string{
		{"imaps://imap.example.com", w.dovecot.URL("imaps") + "\n    tls: {ca_file: " + w.dovecot.CAFile + "}"},
		{"smtp://smtp.example.com", fmt.Sprintf("smtp://%s:%s\n    insecure: true", server.Host, server.Port)},
		{"https://app.example.com/hooks/mail", w.receiver.URL}, {"backfill: none", "backfill: all"}, {"${SUPPORT_PASSWORD}", password}, {"${HOOK_SECRET}", hookSecret},
	} {
		if !strings.Contains(text, pair[0]) {
			t.Fatalf("%s is not in the configuration", pair[0])
		}
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	w.writeWhole("listen: \"\"\n" + text)
	return w, server, dir, read
}

// TestTheSupportDeskAnswers follows examples/support-desk: the mail and the
// application's answer come to the three mails that are there.
func TestTheSupportDeskAnswers(t *testing.T) {
	w, server, dir, read := supportDesk(t)
	w.once(0)
	w.once(0) // nothing is sent twice
	got := map[string]string{}
	for _, m := range server.Mails() {
		name := map[bool]string{true: "acknowledgement.eml", false: "reply.eml"}[m.From == ""]
		if slices.Contains(m.To, "stock@example.com") {
			name = "forward.eml"
		}
		if got[name] != "" {
			t.Errorf("%s was sent twice", name)
		}
		header, body, _ := bytes.Cut(m.Data, []byte("\r\n\r\n"))
		data := slices.Concat(differs.ReplaceAll(append(header, "\r\n"...), nil), []byte("\r\n"), body)
		got[name] = string(data)
		if *updateDesk {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"acknowledgement.eml", "reply.eml", "forward.eml"} {
		if want := read(name); got[name] != want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got[name], want)
		}
	}
	if n := w.dovecot.Count(t, "support@example.com", "Answered"); n != 1 || w.receiver.Count() != 1 {
		t.Errorf("%d mails settled, %d requests", n, w.receiver.Count())
	}
	w.verify()
}

func TestACheckOfTheSupportDeskTellsOfItsSinksAndSendsNothing(t *testing.T) {
	w, server, _, _ := supportDesk(t)
	code, got, out := w.check()
	want := []string{ // thanks, app and desk, as they stand in the file
		"DNS ok", "TCP ok", "greeting ok", "capabilities ok", "sign-in ok", "sending ok",
		"DNS ok", "TCP ok", "secret ok",
		"DNS ok", "TCP ok", "greeting ok", "capabilities ok", "sign-in ok", "sending ok",
	}
	if steps := got.steps("sink"); code != 0 || !slices.Equal(steps, want) {
		t.Errorf("exit code %d, steps %q:\n%s", code, steps, out)
	}
	server.Script("AUTH", smtpd.Say("535 5.7.8 no such user\r\n"))
	code, got, out = w.check("desk")
	steps := got.Targets[len(got.Targets)-1].Steps
	last := steps[len(steps)-1]
	if code != 69 || last.Step != "sign-in" || last.Status != "failed" || !strings.Contains(last.Said, "535 5.7.8 no such user") || !strings.Contains(last.Fix, "password") {
		t.Errorf("exit code %d, last step %+v:\n%s", code, last, out)
	}
	if strings.Contains(out, password) || len(server.Mails()) != 0 || w.receiver.Count() != 0 {
		t.Errorf("%d mails and %d requests were sent, or the password was shown:\n%s", len(server.Mails()), w.receiver.Count(), out)
	}
}
