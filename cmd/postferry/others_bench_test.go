package main_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
)

// contender is one way to empty a mailbox into a webhook.
type contender struct {
	name string
	run  func(hook string) figure
}

// others are the programs that people put curl behind for the same: POP3 from addr,
// each mail given to `curl --data-binary @-` as it is, and deleted once curl has been
// answered with success. A program that is not installed is told of and left out.
func (w *world) others(b *testing.B, addr string, tls bool) (all []contender) {
	b.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		b.Fatal(err)
	}
	if tls {
		host = "localhost" // fetchmail does not look for addresses in certificates
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		b.Log("curl is not installed: fetchmail and mpop are left out")
		return nil
	}
	for _, program := range []struct {
		name   string
		config func(dir, give string) string
		args   func(dir, config string) []string
	}{
		{"fetchmail", func(dir, give string) string {
			secured := "sslproto ''"
			if tls {
				secured = fmt.Sprintf("ssl sslcertck sslcertfile %q", w.dovecot.CAFile)
			}
			return fmt.Sprintf("set no bouncemail\npoll %s protocol pop3 port %s auth password\n user %q password %q %s nokeep fetchall\n mda %q\n",
				host, port, ada, password, secured, give)
		}, func(dir, config string) []string {
			return []string{"--silent", "--nosyslog", "--pidfile", filepath.Join(dir, "pid"), "--idfile", filepath.Join(dir, "ids"), "-f", config}
		}},
		{"mpop", func(dir, give string) string {
			secured := "tls off"
			if tls {
				secured = "tls on\ntls_starttls off\ntls_trust_file " + w.dovecot.CAFile
			}
			return fmt.Sprintf("account default\nhost %s\nport %s\nuser %s\npassword %q\nauth user\n%s\nkeep off\nreceived_header off\nuidls_file %s\ndelivery mda %s\n",
				host, port, ada, password, secured, filepath.Join(dir, "uidls"), give)
		}, func(dir, config string) []string { return []string{"-q", "-Q", "--file=" + config} }},
	} {
		path, err := exec.LookPath(program.name)
		if err != nil {
			b.Logf("%s is not installed, and left out", program.name)
			continue
		}
		all = append(all, contender{program.name + " + curl", func(hook string) figure {
			dir := b.TempDir()
			config := filepath.Join(dir, program.name+".conf")
			give := curl + " --silent --fail --output /dev/null --data-binary @- " + hook
			if err := os.WriteFile(config, []byte(program.config(dir, give)), 0o600); err != nil {
				b.Fatal(err)
			}
			return w.measure(path, program.args(dir, config)...)
		}})
	}
	return all
}

// ours is postferry with a scheme, from addr, in its default configuration.
func (w *world) ours(b *testing.B, scheme, addr string, tls bool) func(string) figure {
	return func(hook string) figure {
		w.dir = b.TempDir()
		w.config = filepath.Join(w.dir, "postferry.yaml")
		w.write("mailboxes:\n" + w.box("inbox", scheme, ada, "server: "+scheme+"://"+addr, "after: delete", fmt.Sprintf("insecure: %v", !tls)) +
			"\nsinks:\n" + w.sink("app", hook, "attachments: inline"))
		return w.measure(w.binary, "run", "--once", "--log-level", "warn")
	}
}

// emptied fills the mailbox, has it emptied, and checks that it was.
func (w *world) emptied(b *testing.B, mails [][]byte, run func(hook string) figure) figure {
	b.Helper()
	w.dir = b.TempDir()
	w.fill(mails)
	w.receiver = mailtest.NewReceiver(b, mailtest.CountOnly)
	f := run(w.receiver.URL)
	if got := w.receiver.Count(); got != len(mails) {
		b.Fatalf("%d requests, want %d", got, len(mails))
	}
	if left := w.dovecot.Count(b, ada, "INBOX"); left != 0 {
		b.Fatalf("%d mails left on the server", left)
	}
	return f
}
