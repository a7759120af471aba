package fetcher

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/postferry/postferry/spool"
)

// BenchmarkUnchangedPoll polls a mailbox of a hundred thousand mails that are
// known, from opening the session to noting the listing. The server is in memory,
// and so is what VmHWM counts of it.
func BenchmarkUnchangedPoll(b *testing.B) {
	s := &server{}
	for i := range 100_000 {
		s.add("INBOX", &stored{uid: fmt.Sprint("1700000000/", i+1)})
	}
	m := mailbox(s)
	m.Backfill = Backfill{}
	h := newHouse(b, spool.Options{}, m)
	defer h.close()
	h.once()
	h.once()
	for b.Loop() {
		wantReport(b, h.once(), "listed 100000")
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); n == 1 {
			b.ReportMetric(kb/1024, "VmHWM-MB")
		}
	}
}
