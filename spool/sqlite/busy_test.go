package sqlite_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

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

	Forgets  spool.ID // this mail may be gone from now on
	Replayed spool.ID // this one was delivered again
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
			line := fmt.Appendf(nil, "%d %d\r\n", g, i)
			b := bytes.Repeat(line, size/len(line))
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
	return errors.Join(<-errs, operate(ctx, sp, say), sp.Close())
}

// operate is what an operator does: some mail is delivered again and some is
// forgotten.
func operate(ctx context.Context, sp *spool.Spool, say func(fact)) error {
	page, err := sp.List(ctx, spool.Filter{Limit: 40})
	if err != nil {
		return err
	}
	for i, m := range page.Mails {
		if i%4 == 0 || m.Size > spool.InRow {
			say(fact{Forgets: m.ID})
			if _, err := sp.Forget(ctx, m.ID); err != nil {
				return err
			}
			continue
		}
		if _, err := sp.Replay(ctx, spool.Target{Item: m.ID}); err != nil {
			return err
		}
		for _, sink := range []string{"a", "b"} {
			c, err := sp.Due(ctx, sink)
			if err != nil {
				return err
			}
			if err := sp.Record(ctx, c.Item.ID, spool.Outcome{Delivery: c.Delivery, State: spool.Delivered}); err != nil {
				return err
			}
		}
		say(fact{Replayed: m.ID})
	}
	return nil
}

// The test's own binary is the other process of those tests that need one.
const childVariable = "POSTFERRY_SPOOL_CHILD"

// TestMain runs the child that the environment names, or the tests.
func TestMain(m *testing.M) {
	dir := os.Getenv("POSTFERRY_SPOOL_DIR")
	var err error
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(m.Run())
	case "busy":
		var mails int
		if mails, err = strconv.Atoi(os.Getenv("POSTFERRY_BUSY_MAILS")); err == nil {
			err = busy(dir, os.Getenv("POSTFERRY_BUSY_SYNCHRONOUS"), mails)
		}
	case "owner":
		err = ownUntilToldToEnd(dir)
	case "full":
		err = fillDisk(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// busyEnv is the environment of a child that runs the workload.
func busyEnv(dir, synchronous string, mails int) []string {
	return []string{childVariable + "=busy", "POSTFERRY_SPOOL_DIR=" + dir, "POSTFERRY_BUSY_SYNCHRONOUS=" + synchronous, fmt.Sprint("POSTFERRY_BUSY_MAILS=", mails)}
}
