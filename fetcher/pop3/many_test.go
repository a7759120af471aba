//go:build !race

// Memory is measured here, of which the race detector needs some too.

package pop3

import (
	"runtime"
	"testing"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
)

// A maildrop of 100,000 mails is listed in less than 100 MB of heap, and what is kept
// of it from one session to the next is next to nothing.
func TestAListingOfManyMailsTakesLittleMemory(t *testing.T) {
	mails := make([][]byte, 100_000)
	for i := range mails {
		mails[i] = two[0]
	}
	s := pop3d.Start(t, nil, mails...)
	source := client(t, s, dial.Plain, nil)
	before := heap()
	x, err := source.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	l, err := x.List(t.Context(), "INBOX", "")
	if err != nil || len(l.Refs) != len(mails) {
		t.Fatalf("%d mails listed, %v", len(l.Refs), err)
	}
	if used := heap() - before; used > 100<<20 {
		t.Errorf("the listing takes %d MB", used>>20)
	}
	runtime.KeepAlive(l)
	x.(*session).Conclude("INBOX")
	x.Close()
	l.Refs, x = nil, nil
	if kept := heap() - before; kept > 10<<20 {
		t.Errorf("%d MB are kept between sessions", kept>>20)
	}
}

// heap is what is in use once the garbage is gone.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
