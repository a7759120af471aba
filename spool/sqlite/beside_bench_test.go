package sqlite_test

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"testing"
	"time"
)

// slowly gives octets at a pace: a large mail that comes over a thin line.
type slowly struct {
	r     io.Reader
	pause time.Duration
}

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(s.pause)
	return s.r.Read(p[:min(len(p), 64<<10)])
}

// How long a small mail takes to be durable while another mailbox downloads 100 MB
// at 32 MB/s, and while it does not; the longest of both is what the download
// adds at most.
func BenchmarkAcceptBesideALargeDownload(b *testing.B) {
	sp := benchSpool(b, b.TempDir())
	small := random(4 << 10)
	measure := func(busy func() bool) (took []time.Duration) {
		for n := 0; n < 300 || busy(); n++ {
			began := time.Now()
			if err := accept(b.Context(), sp, small); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
			time.Sleep(time.Millisecond)
		}
		slices.Sort(took)
		return took
	}
	report := func(name string, took []time.Duration) {
		b.ReportMetric(took[len(took)/2].Seconds()*1e3, name+"-p50-ms")
		b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, name+"-p99-ms")
		b.ReportMetric(took[len(took)-1].Seconds()*1e3, name+"-max-ms")
	}
	large := random(100 << 20)
	for b.Loop() {
		report("alone", measure(func() bool { return false }))
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer close(done)
			o, err := sp.Stage(b.Context(), slowly{bytes.NewReader(large), 2 * time.Millisecond})
			if err != nil {
				b.Error(err)
				return
			}
			o.Close()
		})
		report("beside", measure(func() bool {
			select {
			case <-done:
				return false
			default:
				return true
			}
		}))
		wg.Wait()
	}
}
