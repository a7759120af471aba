//go:build !race

package payload

import (
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/postferry/postferry/sinks/sinktest"
)

// Base64 of a mail passes without its line ends, whatever the size; 25 MB of it
// cost no memory of that size.
func TestALargeAttachmentCostsLittleMemory(t *testing.T) {
	d := sinktest.Delivery(t, 1, withAttachments(25<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b, err := Renderer{Options: Options{Attachments: Inline}}.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	n, err := b.WriteTo(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r := b.Open()
	m, err := io.Copy(io.Discard, r)
	r.Close()
	runtime.ReadMemStats(&after)
	if err != nil || n != b.Size() || m != n || n < 33<<20 {
		t.Errorf("%d and %d octets, %v", n, m, err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d octets were allocated", got)
	}
}

// A mail of 25 MB costs little memory beside the mail itself, whatever the format.
func TestALargeMailCostsLittleMemoryInEveryFormat(t *testing.T) {
	large := withAttachments(25 << 20)
	notUTF8 := strings.Replace(large, "Subject: ", "Subject: \xff", 1)
	for what, raw := range map[string]string{"UTF-8": large, "other octets": notUTF8} {
		d := sinktest.Delivery(t, 1, raw)
		for name, f := range every() {
			if what == "other octets" && !strings.HasSuffix(name, "with the mail") {
				continue // nothing else cares
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b, err := f.Render(d, Options{Attachments: Inline, At: attempt})
			if err != nil {
				t.Fatal(err)
			}
			n, err := b.WriteTo(io.Discard)
			b.Release()
			runtime.ReadMemStats(&after)
			if err != nil || n < 25<<20 || n != b.Size() {
				t.Errorf("%s of %s: %d octets, %v", name, what, n, err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
				t.Errorf("%s of %s: %d octets were allocated", name, what, used)
			}
		}
	}
}
