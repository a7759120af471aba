package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

var box = spool.BoxKey{Account: "ada@mail.example", Box: "INBOX"}

// openSpool opens the spool of a folder; it is closed at the end of the test.
func openSpool(t *testing.T, dir string, o spool.Options) *spool.Spool {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "spool.db"))
	if err != nil {
		t.Fatal(err)
	}
	sp, err := spool.Open(t.Context(), store, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sp.Close() })
	return sp
}

func take(t *testing.T, sp *spool.Spool, uid string, octets []byte) spool.ID {
	t.Helper()
	o, err := sp.Stage(t.Context(), bytes.NewReader(octets))
	if err != nil {
		t.Fatal(err)
	}
	id, err := sp.Take(t.Context(), spool.Taken{Mailbox: "m", Protocol: "imap", BoxKey: box, UID: uid, Octets: o})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// query reads one value of a store nobody has open.
func query[T any](t *testing.T, dir, text string) (v T) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "spool.db"))
	if err != nil {
		t.Fatal(err)
	}
	err = db.QueryRow(text).Scan(&v)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return v
}

// change runs SQL in a store nobody has open.
func change(t *testing.T, dir, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "spool.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(text)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyTheOwnerReadsTheStore(t *testing.T) {
	was := syscall.Umask(0)
	defer syscall.Umask(was)
	dir := t.TempDir()
	path := filepath.Join(dir, "spool.db")
	if err := os.WriteFile(path, nil, 0o666); err != nil { // made by another hand
		t.Fatal(err)
	}
	sp := openSpool(t, dir, spool.Options{})
	take(t, sp, "1/1", make([]byte, 1<<20))
	seen := 0
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		seen++
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", filepath.Base(p), info.Mode())
		}
		return nil
	})
	if err != nil || seen < 6 { // database, log, its memory, lock, folder, mail
		t.Errorf("%d files seen, error %v", seen, err)
	}
}

func TestNewerStoreIsRefusedAndLeftAlone(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, spool.Options{})
	take(t, sp, "1/1", []byte("a"))
	sp.Close()
	version := query[int](t, dir, "PRAGMA user_version")
	head := func() []byte {
		octets, err := os.ReadFile(filepath.Join(dir, "spool.db"))
		if err != nil {
			t.Fatal(err)
		}
		return octets[:100]
	}
	if sqlite.Newer(head()) {
		t.Error("the head of this version's store says that a newer one wrote it")
	}
	change(t, dir, "PRAGMA user_version = 99")
	if !sqlite.Newer(head()) || sqlite.Newer(head()[:99]) || sqlite.Newer(nil) {
		t.Error("the head does not say that a newer version wrote it")
	}
	for range 2 {
		if _, err := sqlite.Open(t.Context(), filepath.Join(dir, "spool.db")); !errors.Is(err, spool.ErrNewer) || !strings.Contains(err.Error(), "99") {
			t.Errorf("opened: %v", err)
		}
		if _, err := sqlite.OpenReadOnly(t.Context(), filepath.Join(dir, "spool.db")); !errors.Is(err, spool.ErrNewer) {
			t.Errorf("opened for reading: %v", err)
		}
	}
	change(t, dir, fmt.Sprintf("PRAGMA user_version = %d", version))
	if fresh, _, err := openSpool(t, dir, spool.Options{}).Reconcile(t.Context(), box, []string{"1/1"}, false, ""); err != nil || len(fresh) != 0 {
		t.Errorf("afterwards: fresh %v, error %v", fresh, err)
	}
}

// What undoes a migration.
const (
	withoutLines    = "DROP INDEX deliveries_line; ALTER TABLE deliveries DROP COLUMN line; ALTER TABLE sinks DROP COLUMN behind; "
	withoutHeads    = "DROP INDEX ledger_renumbered; DROP INDEX ledger_headless; ALTER TABLE ledger DROP COLUMN head; "
	withoutErrands  = "DROP TABLE errands; ALTER TABLE items DROP COLUMN extra; "
	withoutNotes    = "DROP TABLE notes; "
	withoutProgress = "ALTER TABLE deliveries DROP COLUMN progress; " + withoutDeclined

	withoutDeclined = "DROP INDEX settlements_declined; ALTER TABLE settlements DROP COLUMN declined; "
)

func TestStoreOfBeforeLinesIsBroughtUpToDate(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, spool.Options{})
	id := take(t, sp, "1/1", []byte("a"))
	if err := sp.Route(t.Context(), id, spool.Routing{To: []spool.To{{Sink: "app"}}}); err != nil {
		t.Fatal(err)
	}
	sp.Close()
	change(t, dir, withoutLines+withoutHeads+withoutErrands+withoutNotes+withoutProgress+"PRAGMA user_version = 1")
	if _, err := sqlite.OpenReadOnly(t.Context(), filepath.Join(dir, "spool.db")); err == nil {
		t.Error("it was opened for reading as it was")
	}
	sp = openSpool(t, dir, spool.Options{})
	c, err := sp.Due(t.Context(), "app")
	if err != nil || c.Item.ID != id {
		t.Fatalf("claimed %+v, %v", c, err)
	}
	if err := sp.Record(t.Context(), id, spool.Outcome{Delivery: c.Delivery, State: spool.Delivered}); err != nil {
		t.Fatal(err)
	}
}

func TestStoreOfBeforeHeadsIsBroughtUpToDate(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, spool.Options{})
	take(t, sp, "1/1", []byte("a"))
	sp.Close()
	change(t, dir, withoutHeads+withoutErrands+withoutNotes+withoutProgress+"PRAGMA user_version = 2")
	copied := t.TempDir()
	if err := sqlite.CopyLedger(t.Context(), filepath.Join(dir, "spool.db"), filepath.Join(copied, "spool.db")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{copied, dir} {
		sp := openSpool(t, dir, spool.Options{})
		if fresh, _, err := sp.Reconcile(t.Context(), box, []string{"1/1", "1/2"}, false, ""); err != nil || fmt.Sprint(fresh) != "[1/2]" {
			t.Errorf("fresh %v, error %v", fresh, err)
		}
	}
}

func TestStoreOfBeforeNotesIsBroughtUpToDate(t *testing.T) {
	dir := t.TempDir()
	openSpool(t, dir, spool.Options{}).Close()
	change(t, dir, withoutNotes+withoutProgress+"PRAGMA user_version = 4")
	sp := openSpool(t, dir, spool.Options{})
	if refused, err := sp.Remember(t.Context(), "desk", "msg_1", spool.Note{Key: "k", For: time.Hour, Most: 1}); refused != nil || err != nil {
		t.Errorf("remembered: %+v, %v", refused, err)
	}
}

func TestStoreOfBeforeDeclinesIsBroughtUpToDate(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, spool.Options{})
	o, err := sp.Stage(t.Context(), strings.NewReader("a"))
	if err != nil {
		t.Fatal(err)
	}
	seen := spool.Policy{After: spool.Action{Verb: spool.Seen}, Taken: true}
	if _, err := sp.Take(t.Context(), spool.Taken{Mailbox: "m", Protocol: "imap", BoxKey: box, UID: "1/1", Octets: o, Policy: seen}); err != nil {
		t.Fatal(err)
	}
	sp.Close()
	change(t, dir, withoutDeclined+"PRAGMA user_version = 6")
	sp = openSpool(t, dir, spool.Options{})
	if due, err := sp.Settlements(t.Context(), "m"); err != nil || len(due) != 1 || due[0].Declined != 0 {
		t.Errorf("due %+v, error %v", due, err)
	}
}

func TestExpiredNotesGoAsNewOnesCome(t *testing.T) {
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "spool.db"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for i := range 300 { // one an hour, each kept for a day
		op := &spool.RememberOp{Sink: "desk", Delivery: fmt.Sprint("msg_", i), Notes: []spool.Note{{Key: fmt.Sprint(i), For: 24 * time.Hour, Most: 1}}, At: at.Add(time.Duration(i) * time.Hour)}
		if err := store.Commit(t.Context(), []spool.Op{op}); err != nil || op.Refused != nil {
			t.Fatal(op.Refused, err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "spool.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var kept int
	if err := db.QueryRow("SELECT count(*) FROM notes").Scan(&kept); err != nil || kept != 24 {
		t.Errorf("%d notes are kept, error %v", kept, err)
	}
}

func TestWhatIsNoStoreIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "spool.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.db")
	db, err := sql.Open("sqlite", other)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec("CREATE TABLE customers (name TEXT)")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, other} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sqlite.Open(t.Context(), path); !errors.Is(err, spool.ErrForeign) || errors.Is(err, spool.ErrFenced) {
			t.Errorf("%s: %v", path, err)
		}
		if after, err := os.ReadFile(path); err != nil || len(after) != len(before) {
			t.Errorf("%s had %d octets and has %d, error %v", path, len(before), len(after), err)
		}
	}
	if _, err := sqlite.OpenReadOnly(t.Context(), path); !errors.Is(err, spool.ErrForeign) {
		t.Errorf("a text, for reading: %v", err)
	}
	if _, err := sqlite.Open(t.Context(), filepath.Join(dir, "no", "such", "folder.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no folder: %v", err)
	}
	if _, err := sqlite.OpenReadOnly(t.Context(), filepath.Join(dir, "none.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "none.db")); err == nil {
		t.Error("reading made a store")
	}
}

func TestFreshTellsANewStoreFromAnOldOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b%20?#.db") // octets a URI would take for its own
	for _, want := range []bool{true, false} {
		s, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if s.Fresh() != want {
			t.Errorf("fresh %v", s.Fresh())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestOrphansAreSweptAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, spool.Options{})
	id := take(t, sp, "1/1", bytes.Repeat([]byte("a"), 1<<20))
	staged, err := sp.Stage(t.Context(), bytes.NewReader(make([]byte, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	sp.Close()
	folder := filepath.Join(dir, "spool.db.octets")
	for _, name := range []string{"tmp-LEFT", "mail-LEFT", "of-somebody-else"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sp = openSpool(t, dir, spool.Options{})
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.Split(e.Name(), "-")[0])
	}
	if got := strings.Join(names, " "); got != "mail of" {
		t.Errorf("left: %s", got)
	}
	o, err := sp.Octets(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(o.Reader()); err != nil || len(b) != 1<<20 {
		t.Errorf("the stored mail has %d octets, error %v", len(b), err)
	}
	o.Close()
	_ = staged.Close() // its file is swept
}

func TestStagedOctetsThatAreNotTakenLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, spool.Options{})
	o, err := sp.Stage(t.Context(), bytes.NewReader(make([]byte, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("closed octets were read")
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "spool.db.octets")); err != nil || len(entries) != 0 {
		t.Errorf("%d files are left, error %v", len(entries), err)
	}
}

// A mail whose octets the disk has lost is given out like any other, so that its
// reader can say so, and the mails behind it do not wait.
func TestLostOctetsKeepNoOtherMailWaiting(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, spool.Options{})
	for i := range 4 {
		octets := bytes.Repeat([]byte{byte('a' + i)}, 1<<20)
		if i == 3 {
			octets = []byte("Subject: small\r\n\r\n")
		}
		id := take(t, sp, fmt.Sprint("1/", i), octets)
		if _, err := sp.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := sp.Route(t.Context(), id, spool.Routing{To: []spool.To{{Sink: "app"}}}); err != nil {
			t.Fatal(err)
		}
	}
	sp.Close()
	change(t, dir, "UPDATE octets SET data = CAST('Subject: others\r\n\r\n' AS BLOB)")
	names, err := filepath.Glob(filepath.Join(dir, "spool.db.octets", "mail-*"))
	if err != nil || len(names) != 3 {
		t.Fatalf("%v, %v", names, err)
	}
	if err := errors.Join(os.Remove(names[0]), os.Truncate(names[1], 1000)); err != nil {
		t.Fatal(err)
	}
	sp = openSpool(t, dir, spool.Options{})
	unread := 0
	for range 4 {
		c, err := sp.Due(t.Context(), "app")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c.Item.Octets.Reader()); err != nil {
			unread++
		}
		if err := sp.Record(t.Context(), c.Item.ID, spool.Outcome{Delivery: c.Delivery, State: spool.Dead}); err != nil {
			t.Fatal(err)
		}
	}
	if unread != 3 { // one removed, one cut, one altered
		t.Errorf("%d of 4 mails could not be read", unread)
	}
}

// blocking is a mail whose second half the server keeps back.
type blocking struct {
	half    io.Reader
	reached chan struct{}
	release chan struct{}
	rest    io.Reader
}

func (b *blocking) Read(p []byte) (int, error) {
	n, err := b.half.Read(p)
	if err != io.EOF {
		return n, err
	}
	if b.reached != nil {
		close(b.reached)
		b.reached = nil
		<-b.release
	}
	return b.rest.Read(p)
}

func TestTakeCompletesWhileAStageWaitsForTheNetwork(t *testing.T) {
	sp := openSpool(t, t.TempDir(), spool.Options{})
	const half = 50 << 20
	b := &blocking{
		half: io.LimitReader(zeroes{}, half), rest: io.LimitReader(zeroes{}, half),
		reached: make(chan struct{}), release: make(chan struct{}),
	}
	reached, staged := b.reached, make(chan error, 1)
	go func() {
		o, err := sp.Stage(t.Context(), b)
		if err == nil {
			_, err = sp.Take(t.Context(), spool.Taken{Mailbox: "slow", BoxKey: spool.BoxKey{Account: "slow", Box: "INBOX"}, UID: "1/1", Octets: o})
		}
		staged <- err
	}()
	<-reached // 50 MiB are in its file, and nothing comes
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i, size := range []int{100, 1 << 20, 100} {
		o, err := sp.Stage(ctx, bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sp.Take(ctx, spool.Taken{Mailbox: "m", BoxKey: box, UID: fmt.Sprint("1/", i), Octets: o}); err != nil {
			t.Fatalf("a take while another mail is read: %v", err)
		}
	}
	if _, err := sp.Next(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-staged:
		t.Fatalf("the slow mail was staged: %v", err)
	default:
	}
	close(b.release)
	if err := <-staged; err != nil {
		t.Fatal(err)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestForgottenContentIsNowhereInTheFiles(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, spool.Options{Retain: time.Hour})
	secret := []byte("the-secret-of-the-mail")
	small := take(t, sp, "1/1", append([]byte("Subject: a\r\n\r\n"), bytes.Repeat(secret, 2000)...))
	big := take(t, sp, "1/2", append([]byte("Subject: b\r\n\r\n"), bytes.Repeat(secret, 20000)...))
	if _, err := sp.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := sp.Route(t.Context(), small, spool.Routing{To: []spool.To{{Sink: "app"}}, Facts: secret}); err != nil {
		t.Fatal(err)
	}
	c, err := sp.Due(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if err := sp.Record(t.Context(), small, spool.Outcome{Delivery: c.Delivery, State: spool.Dead, Attempt: spool.Attempt{Answer: string(secret)}}); err != nil {
		t.Fatal(err)
	}
	if found := search(t, dir, secret); len(found) == 0 {
		t.Fatal("the search finds nothing at all")
	}
	if n, err := sp.Forget(t.Context(), small, big); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	if found := search(t, dir, secret); len(found) != 0 {
		t.Errorf("it is in %v", found)
	}
}

// search finds the files that hold the octets.
func search(t *testing.T, dir string, octets []byte) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if bytes.Contains(b, octets) {
			found = append(found, filepath.Base(p))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
