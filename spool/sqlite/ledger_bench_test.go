package sqlite_test

import (
	"fmt"
	"testing"

	"github.com/postferry/postferry/spool"
)

// A poll of a box with a hundred thousand known mails: the first of a process,
// one that finds nothing changed, and one that finds one mail more.
func BenchmarkReconcile(b *testing.B) {
	const mails = 100_000
	dir := b.TempDir()
	sp := benchSpool(b, dir)
	uids := make([]string, mails, mails+b.N)
	for i := range uids {
		uids[i] = fmt.Sprint("1700000000/", i+1)
	}
	box := spool.BoxKey{Account: "ada@mail.example", Box: "INBOX"}
	if err := sp.Skip(b.Context(), box, uids); err != nil {
		b.Fatal(err)
	}
	reconcile := func(b *testing.B, want int) {
		fresh, _, err := sp.Reconcile(b.Context(), box, uids, true, "")
		if err != nil || len(fresh) != want {
			b.Fatal(len(fresh), err)
		}
	}
	b.Run("unchanged", func(b *testing.B) {
		reconcile(b, 0)
		for b.Loop() {
			reconcile(b, 0)
		}
	})
	b.Run("one-more", func(b *testing.B) {
		for b.Loop() {
			uid := fmt.Sprint("1700000000/", len(uids)+1)
			uids = append(uids, uid)
			reconcile(b, 1)
			if err := sp.Skip(b.Context(), box, []string{uid}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			sp.Close()
			sp = benchSpool(b, dir)
			b.StartTimer()
			reconcile(b, 0)
		}
	})
}
