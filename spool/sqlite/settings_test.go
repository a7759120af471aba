package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEveryConnectionHasTheSettings(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "spool.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"journal_mode=wal", "synchronous=2", "secure_delete=1", "mmap_size=0"} {
		if !slices.Contains(st.Settings, want) {
			t.Errorf("the status has %v without %s", st.Settings, want)
		}
	}
	rest, err := OpenReadOnly(t.Context(), s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Close()
	if at, err := rest.Status(t.Context()); err != nil || !slices.Equal(at.Settings, st.Settings) {
		t.Errorf("read at rest the settings are %v (%v); the service has %v", at.Settings, err, st.Settings)
	}
	conns := []*sql.Conn{s.conn}
	for range readers { // all at once, so that none is seen twice
		c, err := s.reader.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	for i, c := range conns {
		got := ""
		for _, name := range []string{"journal_mode", "synchronous", "mmap_size", "wal_autocheckpoint", "auto_vacuum", "secure_delete"} {
			value, err := pragma(t.Context(), c, name)
			if err != nil {
				t.Fatal(err)
			}
			got += name + "=" + value + " "
		}
		if want := "journal_mode=wal synchronous=2 mmap_size=0 wal_autocheckpoint=0 auto_vacuum=2 secure_delete=1 "; got != want {
			t.Errorf("connection %d has %s", i, got)
		}
		if v, err := version(t.Context(), c); err != nil {
			t.Errorf("connection %d: SQLite %s: %v", i, v, err)
		}
	}
	for i, c := range conns[1:] {
		if _, err := c.ExecContext(t.Context(), "DELETE FROM boxes"); err == nil {
			t.Errorf("reader %d writes", i)
		}
	}
}

func TestLessThanTheSettingsIsRefused(t *testing.T) {
	s, err := open(t.Context(), filepath.Join(t.TempDir(), "spool.db"), "OFF")
	if err == nil {
		s.Close()
		t.Fatal("a store without syncs was opened")
	}
	if !strings.Contains(err.Error(), "synchronous=0") {
		t.Error(err)
	}
}

func TestSQLiteThatCanCorruptItsLogIsRefused(t *testing.T) {
	for version, want := range map[string]bool{
		"3.51.2": true, "3.7.0": true, "3.51": true, "2.9.9": true, "": true,
		"3.51.3": false, "3.51.4": false, "3.52.0": false, "3.100.0": false, "4.0.0": false,
	} {
		if got := older(version); got != want {
			t.Errorf("%s: older %v", version, got)
		}
	}
}

func TestFreePagesGoBackToTheDiskAndNoContentStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pages := func() (n int) {
		if err := s.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range 400 {
		if _, err := s.conn.ExecContext(t.Context(), "INSERT INTO octets (item, data) VALUES (?, ?)", i, []byte(strings.Repeat(fmt.Sprintf("%08d", i), 5000))); err != nil {
			t.Fatal(err)
		}
	}
	full := pages()
	if _, err := s.conn.ExecContext(t.Context(), "DELETE FROM octets"); err != nil {
		t.Fatal(err)
	}
	s.erased = 400
	for range full/vacuumPiece + 2 {
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left := pages(); left > vacuumPiece+100 {
		t.Errorf("%d of %d pages are left", left, full)
	}
	if s.erased != 0 {
		t.Error("the vacuum has no end")
	}
}

func TestLogIsCopiedIntoTheDatabaseAsItGrows(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "spool.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	most := 0
	for i := range 300 {
		if _, err := s.conn.ExecContext(t.Context(), "INSERT INTO octets (item, data) VALUES (?, ?)", i, make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		_, pages, done, err := s.walCheckpoint(t.Context(), "NOOP")
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, pages-done)
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if most > checkpointAt+100 {
		t.Errorf("the log had %d pages that were not in the database", most)
	}
}
