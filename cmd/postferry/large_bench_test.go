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
// TLS, beside the sequential go-imap loop on the same line.
func BenchmarkFar(b *testing.B) {
	const mails = 300
	w := newWorld(b)
	loop := mailtest.BuildPeer(b, "seqloop")
	mix := mailtest.Mix(mails, 1)
	for _, way := range []struct {
		name, scheme, target string
		tls                  bool
	}{{"plain", "imap", w.dovecot.IMAPAddr(), false}, {"TLS", "imaps", w.dovecot.IMAPSAddr(), true}} {
		b.Run(way.name, func(b *testing.B) {
			far := delay.Start(b, way.target, delay.Options{RoundTrip: 20 * time.Millisecond})
			drain := func(run func(hook string) figure) figure {
				w.fill(mix)
				w.receiver = mailtest.NewReceiver(b, mailtest.CountOnly)
				f := run(w.receiver.URL)
				if got := w.receiver.Count(); got != mails {
					b.Fatalf("%d requests, want %d", got, mails)
				}
				return f
			}
			var ours, theirs []figure
			for b.Loop() {
				ours = append(ours, drain(func(hook string) figure {
					w.dir = b.TempDir()
					w.config = filepath.Join(w.dir, "postferry.yaml")
					w.write("mailboxes:\n" + w.box("inbox", way.scheme, ada, "server: "+way.scheme+"://"+far.Addr, "after: delete",
						"insecure: "+strconv.FormatBool(!way.tls)) + "\nsinks:\n" + w.sink("app", hook, "attachments: inline"))
					return w.measure(w.binary, "run", "--once", "--log-level", "warn")
				}))
				theirs = append(theirs, drain(func(hook string) figure {
					return w.measure(loop, "-address", far.Addr, "-user", ada, "-password", password, "-webhook", hook,
						"-count", strconv.Itoa(mails), "-tls="+strconv.FormatBool(way.tls))
				}))
			}
			rate := func(f []figure) float64 { return median(f, func(f figure) float64 { return mails / f.seconds }) }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(rate(ours), "mails/s")
			b.ReportMetric(rate(theirs), "loop-mails/s")
			b.ReportMetric(rate(ours)/rate(theirs), "x-the-loop")
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
