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

// TestTheSupportDeskAnswers follows examples/support-desk: the mail and the
// application's answer come to the three mails that are there.
func TestTheSupportDeskAnswers(t *testing.T) {
	w := newWorld(t)
	server := smtpd.Start(t, smtpd.Options{SASL: smtpd.Mechanisms("support@example.com", password), Required: true})
	dir := filepath.Join(mailtest.ModuleRoot(t), "examples", "support-desk")
	read := func(name string) string {
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
