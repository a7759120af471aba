package main_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/delay"
)

// BenchmarkFar drains Dovecot over a line with 20 ms round trip, in plain text and
// TLS, by IMAP and POP3, beside the sequential go-imap loop and, where they are
// installed, fetchmail and mpop on the same line.
func BenchmarkFar(b *testing.B) {
	const mails = 300
	w := newWorld(b)
	seqloop := mailtest.BuildPeer(b, "seqloop")
	mix := mailtest.Mix(mails, 1)
	for _, way := range []struct {
		name, imap, pop3      string
		imapServer, popServer string
		tls                   bool
	}{
		{"plain", "imap", "pop3", w.dovecot.IMAPAddr(), w.dovecot.POP3Addr(), false},
		{"TLS", "imaps", "pop3s", w.dovecot.IMAPSAddr(), w.dovecot.POP3SAddr(), true},
	} {
		b.Run(way.name, func(b *testing.B) {
			line := delay.Options{RoundTrip: 20 * time.Millisecond}
			imap, pop3 := delay.Start(b, way.imapServer, line), delay.Start(b, way.popServer, line)
			const loop, byIMAP, byPOP3 = "go-imap loop", "postferry IMAP", "postferry POP3"
			contenders := append([]contender{
				{loop, func(hook string) figure {
					return w.measure(seqloop, "-address", imap.Addr, "-user", ada, "-password", password, "-webhook", hook,
						"-count", strconv.Itoa(mails), "-tls="+strconv.FormatBool(way.tls))
				}},
				{byIMAP, w.ours(b, way.imap, imap.Addr, way.tls)},
				{byPOP3, w.ours(b, way.pop3, pop3.Addr, way.tls)},
			}, w.others(b, pop3.Addr, way.tls)...)
			figures := map[string][]figure{}
			for b.Loop() {
				for _, c := range contenders {
					figures[c.name] = append(figures[c.name], w.emptied(b, mix, c.run))
				}
			}
			rate := func(name string) float64 {
				return median(figures[name], func(f figure) float64 { return mails / f.seconds })
			}
			b.ReportMetric(0, "ns/op")
			for _, c := range contenders {
				b.Logf("%-18s %5.0f mails/s  %5.1f x the loop", c.name, rate(c.name), rate(c.name)/rate(loop))
				b.ReportMetric(rate(c.name), strings.ReplaceAll(c.name, " ", "-")+"-mails/s")
			}
			b.ReportMetric(rate(byIMAP)/rate(loop), "IMAP-x-the-loop")
			b.ReportMetric(rate(byPOP3)/rate(loop), "POP3-x-the-loop")
		})
	}
}

// BenchmarkManyMails looks at a mailbox of 100,000 mails: the first run, which
// writes the baseline, and the next one, which compares all of it.
func BenchmarkManyMails(b *testing.B) {
	const mails = 100_000
	w := newWorld(b)
	raw := []byte("Subject: one of many\r\n\r\nbody\r\n")
	for range mails {
		w.dovecot.Append(b, ada, "INBOX", raw)
	}
	for b.Loop() {
		w.dir = b.TempDir()
		w.config = filepath.Join(w.dir, "postferry.yaml")
		w.mailbox("imap", "backfill: none", "insecure: true", "idle: false")
		first := w.measure(w.binary, "run", "--once", "--log-level", "warn")
		known := w.measure(w.binary, "run", "--once", "--log-level", "warn")
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(first.seconds, "first-s")
		b.ReportMetric(float64(first.hwm)/(1<<20), "first-MB")
		b.ReportMetric(known.seconds, "known-s")
		b.ReportMetric(float64(known.hwm)/(1<<20), "known-MB")
	}
}

// BenchmarkLargeMails takes twenty mails of 100 MB from as many mailboxes at once,
// into raw files.
func BenchmarkLargeMails(b *testing.B) {
	const mailboxes, octets = 20, 100_000_000
	w := newWorld(b)
	line := strings.Repeat("x", 76) + "\r\n"
	raw := []byte("Subject: large\r\n\r\n" + strings.Repeat(line, octets/len(line)))
	var boxes strings.Builder
	for i := range mailboxes {
		user := fmt.Sprintf("user%d@example.com", i)
		w.dovecot.AddUser(b, user, password)
		w.dovecot.Append(b, user, "INBOX", raw)
		boxes.WriteString(w.box(fmt.Sprintf("m%d", i), "imap", user, "insecure: true") + "\n")
	}
	for b.Loop() {
		w.dir = b.TempDir()
		w.config = filepath.Join(w.dir, "postferry.yaml")
		w.write("mailboxes:\n" + boxes.String() + "sinks:\n  app: {type: file, dir: out, each: message, format: raw}\n")
		f := w.measure(w.binary, "run", "--once", "--log-level", "warn")
		files, err := filepath.Glob(filepath.Join(w.dir, "out", "*"))
		if err != nil || len(files) != mailboxes {
			b.Fatalf("%d files, %v", len(files), err)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(f.hwm)/(1<<20), "MB")
		b.ReportMetric(f.seconds, "s")
	}
}
