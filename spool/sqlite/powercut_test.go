//go:build !race

// Processes of their own are recorded or killed here: the race detector would see
// nothing of them and take ten times as long. `make test` runs this without it.

package sqlite_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest/powercut"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

func recordBusy(t *testing.T, synchronous string, mails int) *powercut.Log {
	t.Helper()
	dir := memory(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	l, err := powercut.Record(ctx, dir, busyEnv(dir, synchronous, mails), os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// memory is a folder that is not on a disk where there is such a thing: what a
// sync does is read from the record, so it need not be waited for.
func memory(t *testing.T) string {
	t.Helper()
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "powercut-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// cuts is how many are made: POSTFERRY_CUTS, or so many.
func cuts(t *testing.T, n int) int {
	t.Helper()
	text := os.Getenv("POSTFERRY_CUTS")
	if text == "" {
		return n
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPowerCutLosesNothingThatWasAcknowledged(t *testing.T) {
	n := cuts(t, 50)
	l := recordBusy(t, "FULL", 100)
	rng := rand.New(rand.NewPCG(1, 2))
	facts := 0
	for i := range n {
		at, seed := rng.IntN(l.Len()+1), rng.Uint64()
		checked, err := cut(t, l, at, seed)
		if err != nil {
			t.Fatalf("cut %d, at %d of %d, seed %d: %v", i, at, l.Len(), seed, err)
		}
		facts += checked
	}
	t.Logf("%d cuts of a record with %d steps; %d acknowledged facts held", n, l.Len(), facts)
	if facts < n {
		t.Errorf("only %d facts were looked at", facts)
	}
}

// With less than synchronous=FULL a cut has to lose something, or the test above
// could not fail.
func TestPowerCutLosesMailWithoutFullSync(t *testing.T) {
	l := recordBusy(t, "NORMAL", 60)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		if _, err := cut(t, l, rng.IntN(l.Len()+1), rng.Uint64()); err != nil {
			return
		}
	}
	t.Error("50 cuts at synchronous=NORMAL lost nothing")
}

// cut makes one image, opens it as the next process would, and compares it with
// what had been said; it returns how many facts were compared.
func cut(t *testing.T, l *powercut.Log, at int, seed uint64) (n int, err error) {
	dir := memory(t)
	defer os.RemoveAll(dir)
	if err := l.Cut(at, seed, dir); err != nil {
		return 0, err
	}
	return check(t.Context(), dir, l.Told(at))
}

// shower is Spool.Show of a mail in an image, read once.
type shower func(spool.ID) (*spool.Mail, error)

// check opens what is in the folder as the next process does, and compares it
// with what had been said; it returns how many facts were compared.
func check(ctx context.Context, dir, told string) (n int, err error) {
	path := filepath.Join(dir, "spool.db")
	store, err := sqlite.Open(ctx, path)
	if err != nil {
		return 0, err
	}
	sp, err := spool.Open(ctx, store, spool.Options{Retain: time.Hour})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, sp.Close()) }()
	shown := map[spool.ID]*spool.Mail{}
	show := func(id spool.ID) (*spool.Mail, error) {
		if m := shown[id]; m != nil {
			return m, nil
		}
		m, err := sp.Show(ctx, spool.Target{Item: id})
		shown[id] = m
		return m, err
	}
	if err := whole(ctx, path, sp, show); err != nil {
		return 0, err
	}
	facts := map[string]fact{}
	forgotten := map[spool.ID]bool{}
	for lines := bufio.NewScanner(strings.NewReader(told)); lines.Scan(); {
		var f fact
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return n, err
		}
		facts[lines.Text()] = f
		if f.Forgets != 0 {
			forgotten[f.Forgets] = true
		}
	}
	for text, f := range facts {
		id := max(f.Took, f.Routed, f.Ended, f.Settles, f.Replayed)
		if f.Forgets != 0 || forgotten[id] {
			continue
		}
		if err := holds(ctx, sp, show, id, f); err != nil {
			return n, fmt.Errorf("%s was said: %w", text, err)
		}
		n++
	}
	return n, nil
}

// whole checks what is in the store, whoever was told of it.
func whole(ctx context.Context, path string, sp *spool.Spool, show shower) error {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=rw&_pragma=query_only(1)")
	if err != nil {
		return err
	}
	var answer string
	if err := errors.Join(db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&answer), db.Close()); err != nil {
		return err
	}
	if answer != "ok" {
		return fmt.Errorf("integrity_check: %s", answer)
	}
	f := spool.Filter{Limit: 1000}
	page, err := sp.List(ctx, f)
	if err != nil {
		return err
	}
	for _, m := range page.Mails {
		if err := sameOctets(ctx, sp, m.ID, m.SHA256); err != nil {
			return err
		}
		full, err := show(m.ID)
		if err != nil {
			return err
		}
		if len(full.Settlements) > 0 && full.State != spool.Delivered && tries(full) < 2 {
			return fmt.Errorf("mail %d is %s and has a settlement", m.ID, full.State)
		}
	}
	return nil
}

// tries are those of all deliveries; a mail that was delivered to two sinks has two.
func tries(m *spool.Mail) (n int) {
	for _, d := range m.Deliveries {
		n += d.Tries
	}
	return n
}

func sameOctets(ctx context.Context, sp *spool.Spool, id spool.ID, sum string) error {
	o, err := sp.Octets(ctx, id)
	if err != nil {
		return err
	}
	defer o.Close()
	h := sha256.New()
	if _, err := bufio.NewReader(o.Reader()).WriteTo(h); err != nil {
		return err
	}
	if got := fmt.Sprintf("%x", h.Sum(nil)); got != sum {
		return fmt.Errorf("mail %d has other octets", id)
	}
	return nil
}

// holds checks one fact.
func holds(ctx context.Context, sp *spool.Spool, show shower, id spool.ID, f fact) error {
	switch {
	case f.Skipped != "":
		name, uid, _ := strings.Cut(f.Skipped, " ")
		fresh, _, err := sp.Reconcile(ctx, spool.BoxKey{Account: "ada@mail.example", Box: name}, []string{uid}, false, "")
		if err == nil && len(fresh) > 0 {
			err = errors.New("the UID is not known")
		}
		return err
	case f.Settled != 0:
		due, err := sp.Settlements(ctx, "m")
		for _, s := range due {
			if s.ID == f.Settled {
				err = errors.New("the settlement is owed again")
			}
		}
		return err
	}
	m, err := show(id)
	if err != nil {
		return err
	}
	switch {
	case f.Replayed != 0:
		for _, d := range m.Deliveries {
			if d.Tries != 2 || d.State != spool.Delivered {
				return fmt.Errorf("the delivery is %s after %d tries", d.State, d.Tries)
			}
		}
	case f.Took != 0:
		if m.SHA256 != f.SHA256 {
			return errors.New("it is another mail")
		}
	case f.Routed != 0:
		if len(m.Deliveries) != 2 {
			return fmt.Errorf("it has %d deliveries", len(m.Deliveries))
		}
	case f.Settles != 0:
		// A replay makes a delivered mail pending again.
		if m.State != spool.Delivered && tries(m) < 2 {
			return fmt.Errorf("the server deletes a mail that is %s", m.State)
		}
	default:
		for _, d := range m.Deliveries {
			if d.Sink == f.Sink && d.State != spool.Delivered && d.Tries == 0 {
				return fmt.Errorf("the delivery is %s", d.State)
			}
		}
	}
	return nil
}
