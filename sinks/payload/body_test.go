package payload

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/postferry/postferry/sinks/sinktest"
)

// large is a delivery whose body is partly read while it is sent.
func largeBody(t testing.TB) *Body {
	t.Helper()
	r, err := NewRenderer("native", Options{Attachments: Inline})
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Render(sinktest.Delivery(t, 1, withAttachments(LazyFrom, 100, LazyFrom+1, 3*LazyFrom)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestABodyIsTheSameHoweverItIsRead(t *testing.T) {
	b := largeBody(t)
	defer b.Release()
	if _, ok := b.Bytes(); ok {
		t.Fatal("a large body is in memory")
	}
	want, err := b.ReadAll()
	if err != nil || int64(len(want)) != b.Size() {
		t.Fatal(len(want), b.Size(), err)
	}
	for range 2 {
		var out bytes.Buffer
		if n, err := b.WriteTo(&out); err != nil || n != b.Size() || !bytes.Equal(out.Bytes(), want) {
			t.Errorf("WriteTo gave %d octets, %v", n, err)
		}
	}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"as it comes": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "data with the error": iotest.DataErrReader,
	} {
		r := b.Open()
		got, err := io.ReadAll(wrap(r))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d octets, %v", name, len(got), err)
		}
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Errorf("%s: Close: %v", name, err)
		}
		if _, err := r.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: it is read after Close", name)
		}
	}
}

func TestABodyInMemoryIsReadWithoutStreams(t *testing.T) {
	b, err := Renderer{}.Render(sinktest.Delivery(t, 1, sinktest.Mail))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	want, ok := b.Bytes()
	if !ok {
		t.Fatal("a small body is not in memory")
	}
	if err := iotest.TestReader(b.Open(), want); err != nil {
		t.Error(err)
	}
}

// A reader that is closed in the middle leaves nothing behind; TestMain looks for
// goroutines.
func TestAReaderMayBeClosedAnywhere(t *testing.T) {
	b := largeBody(t)
	defer b.Release()
	for _, n := range []int64{0, 1, 1000, 500_000, 2_000_000} {
		r := b.Open()
		if _, err := io.CopyN(io.Discard, r, n); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
}

func TestReadersGoOnAfterReleaseAndMayBeClosedByOthers(t *testing.T) {
	want := render(t, sinktest.Delivery(t, 1, sinktest.Mail), "native", Options{})
	var all sync.WaitGroup
	for range 50 {
		b, err := Renderer{}.Render(sinktest.Delivery(t, 1, sinktest.Mail))
		if err != nil {
			t.Fatal(err)
		}
		kept, dropped := b.Open(), b.Open()
		all.Go(func() {
			got, err := io.ReadAll(kept)
			if err != nil || string(got) != want {
				t.Errorf("after Release: %d octets, %v", len(got), err)
			}
			kept.Close()
		})
		all.Go(func() { io.Copy(io.Discard, dropped) })
		all.Go(func() { dropped.Close() })
		b.Release()
		b.Release()
	}
	all.Wait()
}

func TestASourceThatFailsOrChangesIsNoShorterBody(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{
		"fails":   func(w io.Writer) error { io.WriteString(w, "ab"); return errors.New("input/output error") },
		"shorter": func(w io.Writer) error { _, err := io.WriteString(w, "ab"); return err },
		"longer":  func(w io.Writer) error { _, err := io.WriteString(w, "abcdef"); return err },
	} {
		b := newBody("text/plain")
		*b.text = append(*b.text, "<>"...)
		b.streams = []stream{{at: 1, size: 4, write: write}}
		if _, err := b.ReadAll(); err == nil {
			t.Errorf("%s: ReadAll gave no error", name)
		}
		r := b.Open()
		if got, err := io.ReadAll(r); err == nil {
			t.Errorf("%s: a reader gave %q and no error", name, got)
		}
		r.Close()
		b.Release()
	}
}

func TestRawIsTheMailItself(t *testing.T) {
	for i, mail := range append(sinktest.Hostile(), sinktest.Mail, strings.Repeat("x", rawInMemory), strings.Repeat("x", rawInMemory+1)) {
		if got := render(t, sinktest.Delivery(t, i, mail), "raw", Options{}); got != mail {
			t.Errorf("mail %d has %d octets of %d", i, len(got), len(mail))
		}
	}
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	d.Octets.Close()
	if _, err := (raw{}).Render(d, Options{}); err == nil {
		t.Error("a mail that cannot be read was rendered")
	}
}

func BenchmarkNative(b *testing.B) {
	for _, c := range []struct{ name, mail string }{
		{"4KB", "Subject: bench\r\n\r\n" + strings.Repeat("A line of a mail of four kilobytes in all.\r\n", 92)},
		{"attachment 1MB", withAttachments(1_000_000)},
		{"attachment 25MB", withAttachments(25 << 20)},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := sinktest.Delivery(b, 1, c.mail)
			b.SetBytes(int64(len(c.mail)))
			b.ReportAllocs()
			for b.Loop() {
				body, err := Renderer{Options: Options{Attachments: Inline}}.Render(d)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := body.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
				body.Release()
			}
		})
	}
}
