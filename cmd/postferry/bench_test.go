package main_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

const (
	drainMails  = 2000 // of the mix, in each drain
	drainRounds = 3    // interleaved; the median is told
)

// figure is what one drain of one contender cost.
type figure struct {
	seconds, cpu float64
	hwm          int64 // octets
}

// BenchmarkDrain empties a real Dovecot of the mix into a local webhook, in the
// default configuration (durable store, inline attachments, deleted after 2xx),
// beside a plain sequential go-imap loop, a relay that neither parses nor stores, and
// fetchmail and mpop where they are installed, in the same run.
func BenchmarkDrain(b *testing.B) {
	w := newWorld(b)
	loop, relay := mailtest.BuildPeer(b, "seqloop"), mailtest.BuildPeer(b, "relay")
	mails := mailtest.Mix(drainMails, 1)
	peer := func(program string) func(string) figure {
		return func(hook string) figure {
			return w.measure(program, "-address", w.dovecot.IMAPAddr(), "-user", ada, "-password", password,
				"-webhook", hook, "-count", strconv.Itoa(drainMails))
		}
	}
	contenders := append([]contender{
		{"go-imap loop", peer(loop)},
		{"relay", peer(relay)},
		{"postferry IMAP", w.ours(b, "imap", w.dovecot.IMAPAddr(), false)},
		{"postferry POP3", w.ours(b, "pop3", w.dovecot.POP3Addr(), false)},
	}, w.others(b, w.dovecot.POP3Addr(), false)...)
	figures := map[string][]figure{}
	for b.Loop() {
		for range drainRounds {
			for _, c := range contenders {
				figures[c.name] = append(figures[c.name], w.emptied(b, mails, c.run))
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.Logf("store: %s", w.settings())
	base := median(figures["go-imap loop"], func(f figure) float64 { return drainMails / f.seconds })
	for _, c := range contenders {
		rate := median(figures[c.name], func(f figure) float64 { return drainMails / f.seconds })
		cpu := median(figures[c.name], func(f figure) float64 { return f.cpu * 1000 / drainMails })
		hwm := median(figures[c.name], func(f figure) float64 { return float64(f.hwm) / (1 << 20) })
		b.Logf("%-18s %6.0f mails/s  %4.2f x the loop  %.3f CPU s per 1,000  VmHWM %.0f MB", c.name, rate, rate/base, cpu, hwm)
		unit := strings.ReplaceAll(c.name, " ", "-")
		b.ReportMetric(rate, unit+"-mails/s")
		b.ReportMetric(hwm, unit+"-MB")
	}
}

func median(figures []figure, of func(figure) float64) float64 {
	var values []float64
	for _, f := range figures {
		values = append(values, of(f))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// measure runs a program to its end.
func (w *world) measure(program string, args ...string) figure {
	w.t.Helper()
	start := time.Now()
	p := mailtest.StartProc(w.t, mailtest.Command{Path: program, Args: args, Dir: w.dir})
	if code := p.Wait(w.t, 5*time.Minute); code != 0 {
		w.t.Fatalf("exit code %d: %s", code, tail(p.Stderr.String(), 2000))
	}
	return figure{time.Since(start).Seconds(), p.CPU().Seconds(), p.HWM()}
}

// settings are those of the store as it reads them back.
func (w *world) settings() string {
	w.t.Helper()
	code, out, stderr := w.run("status", "-o", "json")
	if code != 0 {
		w.t.Fatalf("status: exit code %d: %s", code, stderr)
	}
	var st struct{ Spool struct{ Settings []string } }
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint(st.Spool.Settings)
}
