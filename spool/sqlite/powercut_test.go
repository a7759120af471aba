package sqlite_test

import (
	"bufio"
	"bytes"
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
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest/powercut"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// fact is something a spool said had been done, or a server was told to do.
type fact struct {
	Took    spool.ID // a mail, with this hash of its octets
	SHA256  string
	Routed  spool.ID
	Ended   spool.ID // a delivery of this mail is delivered
	Sink    string
	Settles spool.ID // the server is asked to delete this mail
	Settled int64    // the server's confirmation is recorded
	Skipped string   // a UID is known
}

// busy is the workload that is cut: mails of all sizes are taken, routed to two
// sinks, delivered and settled by several goroutines at once, and what has
// returned is written to standard output.
func busy(dir, synchronous string, mails int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	store, err := sqlite.OpenWith(ctx, filepath.Join(dir, "spool.db"), synchronous)
	if err != nil {
		return err
	}
	sp, err := spool.Open(ctx, store, spool.Options{Retain: time.Hour, Window: 1 << 20})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(f fact) {
		mu.Lock()
		defer mu.Unlock()
		b, err := json.Marshal(f)
		if err == nil {
			_, err = os.Stdout.Write(append(b, '\n'))
		}
		if err != nil {
			panic(err)
		}
	}
	var wg sync.WaitGroup
	errs := make(chan error, 100)
	each := func(n int, do func(i int) error) {
		wg.Go(func() {
			for i := range n {
				if err := do(i); err != nil {
					errs <- err
					cancel()
					return
				}
			}
		})
	}
	const takers, workers = 4, 2
	for g := range takers {
		box := spool.BoxKey{Account: "ada@mail.example", Box: strconv.Itoa(g)}
		rng := rand.New(rand.NewPCG(uint64(g), 1))
		each(mails/takers, func(i int) error {
			size := []int{500, 4 << 10, 4 << 10, 30 << 10, 30 << 10, 150 << 10, 300 << 10}[rng.IntN(7)]
			b := bytes.Repeat([]byte(fmt.Sprintf("%d %d\r\n", g, i)), size/6)
			o, err := sp.Stage(ctx, bytes.NewReader(b))
			if err != nil {
				return err
			}
			id, err := sp.Take(ctx, spool.Taken{Mailbox: "m", Protocol: "imap", BoxKey: box, UID: fmt.Sprint("1/", i), Octets: o,
				Policy: spool.Policy{After: spool.Action{Verb: spool.Delete}}})
			if err != nil {
				return err
			}
			say(fact{Took: id, SHA256: fmt.Sprintf("%x", sha256.Sum256(b))})
			if i%5 != 0 {
				return nil
			}
			uid := fmt.Sprint("9/", i)
			if err := sp.Skip(ctx, box, []string{uid}); err != nil {
				return err
			}
			say(fact{Skipped: box.Box + " " + uid})
			return nil
		})
	}
	each(mails, func(int) error {
		i, err := sp.Next(ctx)
		if err != nil {
			return err
		}
		if err := sp.Route(ctx, i.ID, spool.Routing{To: []spool.To{{Sink: "a"}, {Sink: "b"}}}); err != nil {
			return err
		}
		say(fact{Routed: i.ID})
		return nil
	})
	for _, sink := range []string{"a", "b"} {
		for range workers {
			each(mails/workers, func(int) error {
				c, err := sp.Due(ctx, sink)
				if err != nil {
					return err
				}
				if err := sp.Record(ctx, c.Item.ID, spool.Outcome{Delivery: c.Delivery, State: spool.Delivered, Attempt: spool.Attempt{At: time.Now()}}); err != nil {
					return err
				}
				say(fact{Ended: c.Item.ID, Sink: sink})
				return nil
			})
		}
	}
	wg.Go(func() {
		for n := 0; n < mails; {
			if err := sp.WaitSettlements(ctx, "m"); err != nil {
				errs <- err
				return
			}
			due, err := sp.Settlements(ctx, "m")
			if err != nil {
				errs <- err
				return
			}
			for _, s := range due {
				say(fact{Settles: s.Item})
				if err := sp.Settled(ctx, []int64{s.ID}); err != nil {
					errs <- err
					return
				}
				say(fact{Settled: s.ID})
				n++
			}
		}
	})
	wg.Wait()
	close(errs)
	return errors.Join(<-errs, sp.Close())
}

// TestMain runs the workload in the process that is recorded.
func TestMain(m *testing.M) {
	dir := os.Getenv("POSTFERRY_BUSY")
	if dir == "" {
		os.Exit(m.Run())
	}
	mails, err := strconv.Atoi(os.Getenv("POSTFERRY_BUSY_MAILS"))
	if err == nil {
		err = busy(dir, os.Getenv("POSTFERRY_BUSY_SYNCHRONOUS"), mails)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func recordBusy(t *testing.T, synchronous string, mails int) *powercut.Log {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	l, err := powercut.Record(ctx, dir, []string{"POSTFERRY_BUSY=" + dir, "POSTFERRY_BUSY_SYNCHRONOUS=" + synchronous, fmt.Sprint("POSTFERRY_BUSY_MAILS=", mails)}, os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	return l
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
	dir, err := os.MkdirTemp(t.TempDir(), "cut")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := l.Cut(at, seed, dir); err != nil {
		return 0, err
	}
	path := filepath.Join(dir, "spool.db")
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		return 0, err
	}
	sp, err := spool.Open(t.Context(), store, spool.Options{Retain: time.Hour})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, sp.Close()) }()
	if err := whole(t.Context(), path, sp); err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(strings.NewReader(l.Told(at))); lines.Scan(); n++ {
		var f fact
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return n, err
		}
		if err := holds(t.Context(), sp, f); err != nil {
			return n, fmt.Errorf("%s was said: %w", lines.Bytes(), err)
		}
	}
	return n, nil
}

// whole checks what is in the store, whoever was told of it.
func whole(ctx context.Context, path string, sp *spool.Spool) error {
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
		full, err := sp.Show(ctx, spool.Target{Item: m.ID})
		if err != nil {
			return err
		}
		if len(full.Settlements) > 0 && full.State != spool.Delivered {
			return fmt.Errorf("mail %d is %s and has a settlement", m.ID, full.State)
		}
	}
	return nil
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
func holds(ctx context.Context, sp *spool.Spool, f fact) error {
	id := max(f.Took, f.Routed, f.Ended, f.Settles)
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
	m, err := sp.Show(ctx, spool.Target{Item: id})
	if err != nil {
		return err
	}
	switch {
	case f.Took != 0:
		if m.SHA256 != f.SHA256 {
			return errors.New("it is another mail")
		}
	case f.Routed != 0:
		if len(m.Deliveries) != 2 {
			return fmt.Errorf("it has %d deliveries", len(m.Deliveries))
		}
	case f.Settles != 0:
		if m.State != spool.Delivered {
			return fmt.Errorf("the server deletes a mail that is %s", m.State)
		}
	default:
		for _, d := range m.Deliveries {
			if d.Sink == f.Sink && d.State != spool.Delivered {
				return fmt.Errorf("the delivery is %s", d.State)
			}
		}
	}
	return nil
}
