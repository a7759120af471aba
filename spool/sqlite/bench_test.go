package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// callers is how many mailboxes hand mail in at once, and as many mails each, as
// the fetcher does.
const callers = 64

func benchSpool(b *testing.B, dir string) *spool.Spool {
	b.Helper()
	store, err := sqlite.Open(b.Context(), filepath.Join(dir, "spool.db"))
	if err != nil {
		b.Fatal(err)
	}
	sp, err := spool.Open(b.Context(), store, spool.Options{Retain: 24 * time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sp.Close() })
	return sp
}

var serial atomic.Int64

// random octets, so that no two mails are equal.
func random(size int) []byte {
	b := make([]byte, size)
	rng := rand.New(rand.NewPCG(uint64(serial.Add(1)), 1))
	for i := 0; i+8 <= size; i += 8 {
		n := rng.Uint64()
		for k := range 8 {
			b[i+k] = byte(n >> (8 * k))
		}
	}
	return b
}

func accept(ctx context.Context, sp *spool.Spool, octets []byte) error {
	n := serial.Add(1)
	copy(octets, fmt.Sprintf("Subject: %d\r\n", n))
	o, err := sp.Stage(ctx, bytes.NewReader(octets))
	if err != nil {
		return err
	}
	_, err = sp.Take(ctx, spool.Taken{Mailbox: "m", Protocol: "imap", BoxKey: box, UID: fmt.Sprint("1/", n), Octets: o})
	return err
}

// acceptAll accepts b.N mails from several callers at once.
func acceptAll(b *testing.B, sp *spool.Spool, size, callers int) {
	b.SetBytes(int64(size))
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			octets := random(size)
			for left.Add(-1) >= 0 {
				if err := accept(b.Context(), sp, octets); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}

// Each mail is synced before its caller goes on.
func BenchmarkAccept(b *testing.B) {
	for _, c := range []struct {
		name          string
		size, callers int
	}{{"8KB", 8 << 10, callers}, {"8KB-one-caller", 8 << 10, 1}, {"200KB", 200 << 10, callers}, {"20MB", 20 << 20, 4}} {
		b.Run(c.name, func(b *testing.B) { acceptAll(b, benchSpool(b, b.TempDir()), c.size, c.callers) })
	}
}

// deliverAll is from Stage to a recorded delivery, by a worker that does nothing;
// workers wait for the commit of their record.
func deliverAll(b *testing.B, sp *spool.Spool, size int) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var workers sync.WaitGroup
	done := make(chan struct{})
	var delivered atomic.Int64
	for range 16 {
		workers.Go(func() {
			for {
				i, err := sp.Next(ctx)
				if err == nil {
					err = sp.Route(ctx, i.ID, spool.Routing{To: []spool.To{{Sink: "app"}}})
				}
				if err != nil {
					return
				}
			}
		})
		workers.Go(func() {
			for {
				c, err := sp.Due(ctx, "app")
				if err == nil {
					err = sp.Record(ctx, c.Item.ID, spool.Outcome{Delivery: c.Delivery, State: spool.Delivered, Attempt: spool.Attempt{At: time.Now()}})
				}
				if err != nil {
					return
				}
				if delivered.Add(1) == int64(b.N) {
					close(done)
				}
			}
		})
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	for range callers {
		workers.Go(func() {
			octets := random(size)
			for left.Add(-1) >= 0 {
				if err := accept(ctx, sp, octets); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	<-done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
	cancel()
	workers.Wait()
}

// One mail at a time into an idle system, until its worker has it.
func BenchmarkIdleMailToWorker(b *testing.B) {
	sp := benchSpool(b, b.TempDir())
	octets := random(4 << 10)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if err := accept(b.Context(), sp, octets); err != nil {
			b.Fatal(err)
		}
		i, err := sp.Next(b.Context())
		if err == nil {
			err = sp.Route(b.Context(), i.ID, spool.Routing{To: []spool.To{{Sink: "app"}}})
		}
		if err != nil {
			b.Fatal(err)
		}
		c, err := sp.Due(b.Context(), "app")
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
		if err := sp.Record(b.Context(), c.Item.ID, spool.Outcome{Delivery: c.Delivery, State: spool.Delivered}); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// history fills the tables with mails that were delivered and erased.
func history(b *testing.B, dir string, rows int) {
	b.Helper()
	benchSpool(b, dir).Close()
	db, err := sql.Open("sqlite", filepath.Join(dir, "spool.db"))
	if err != nil {
		b.Fatal(err)
	}
	_, err = db.Exec(fmt.Sprintf(`BEGIN;
		INSERT INTO boxes (id, account, box, mailbox) VALUES (1, 'ada@mail.example', 'INBOX', 'm');
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %[1]d)
		INSERT INTO items (id, mailbox, protocol, box, uid, current, received, taken, flags, account, sha256, prefix, ordinal, size, erased, route, ended, after, delay, early, failed, fate)
			SELECT i, 'm', 'imap', 1, '0/' || i, '0/' || i, i, i, '', 'ada@mail.example', randomblob(32), abs(random()) %% 4294967296, 0, 4096, 1, 1, i, 'keep', 0, 0, 'keep', 2 FROM n;
		INSERT INTO ledger (box, uid, item) SELECT 1, uid, id FROM items ORDER BY uid;
		INSERT INTO deliveries (item, sink, part, id, state, due, attempts) SELECT id, 'app', '', 'msg_' || hex(substr(sha256, 1, 20)), 2, id, 1 FROM items;
		INSERT INTO attempts (item, sink, part, n, at, duration, state, detail, answer, error) SELECT id, 'app', '', 1, id, 1, 2, '202', '', '' FROM items;
		COMMIT;`, rows))
	if err := errors.Join(err, db.Close()); err != nil {
		b.Fatal(err)
	}
}

// The same without and with a million mails that were delivered before.
func BenchmarkHistory(b *testing.B) {
	for _, rows := range []int{1, 1_000_000} {
		dir := b.TempDir()
		history(b, dir, rows)
		b.Run(fmt.Sprint(rows), func(b *testing.B) { deliverAll(b, benchSpool(b, dir), 4<<10) })
	}
}
