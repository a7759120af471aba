package sqlite_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

func TestCopyLedgerKnowsWhatAStoreInUseKnows(t *testing.T) {
	dir := t.TempDir()
	open := func(name string) *spool.Spool {
		t.Helper()
		store, err := sqlite.Open(t.Context(), filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sp, err := spool.Open(t.Context(), store, spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sp.Close() })
		return sp
	}
	box := spool.BoxKey{Account: "ada@mail.example", Box: "INBOX"}
	original := open("a.db")
	if err := original.Skip(t.Context(), box, []string{"1/1", "1/2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := original.Take(t.Context(), spool.Taken{Mailbox: "m", Protocol: "imap", BoxKey: box, UID: "1/3",
		Octets: spool.NewOctets([]byte("Subject: a\r\n\r\n"))}); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.CopyLedger(t.Context(), filepath.Join(dir, "a.db"), filepath.Join(dir, "b.db")); err != nil {
		t.Fatal(err)
	}
	copied := open("b.db")
	fresh, first, err := copied.Reconcile(t.Context(), box, []string{"1/1", "1/2", "1/3", "1/4"}, true, "")
	if err != nil || first || !slices.Equal(fresh, []string{"1/4"}) {
		t.Errorf("fresh %v, first %v, error %v; want 1/4 alone", fresh, first, err)
	}
	st, err := copied.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range st.Mailboxes {
		if m.Taken != 0 {
			t.Errorf("mailbox %s has %d mails in the copy", m.Mailbox, m.Taken)
		}
	}
	if err := sqlite.CopyLedger(t.Context(), filepath.Join(dir, "none.db"), filepath.Join(dir, "c.db")); err == nil {
		t.Error("a store that is not there was copied")
	}
}
