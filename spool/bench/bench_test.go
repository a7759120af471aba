package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite"

	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

const (
	size    = 4 << 10 // octets of a mail
	callers = 64      // that hand mail in at once; River's inserts are batches of as many
	workers = 16
)

func octets(b *testing.B) []byte {
	b.Helper()
	o := make([]byte, size)
	if _, err := rand.Read(o); err != nil {
		b.Fatal(err)
	}
	return o
}

func report(b *testing.B) {
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}

// BenchmarkSpool is from taking a mail to its recorded delivery by a worker that
// does nothing.
func BenchmarkSpool(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	store, err := sqlite.Open(ctx, filepath.Join(b.TempDir(), "spool.db"))
	if err != nil {
		b.Fatal(err)
	}
	sp, err := spool.Open(ctx, store, spool.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer sp.Close()
	var wg sync.WaitGroup
	var left, done atomic.Int64
	left.Store(int64(b.N))
	all := make(chan struct{})
	for range workers {
		wg.Go(func() {
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
		wg.Go(func() {
			for {
				c, err := sp.Due(ctx, "app")
				if err == nil {
					err = sp.Record(ctx, c.Item.ID, spool.Outcome{Delivery: c.Delivery, State: spool.Delivered})
				}
				if err != nil {
					return
				}
				if done.Add(1) == int64(b.N) {
					close(all)
				}
			}
		})
	}
	b.ResetTimer()
	for range callers {
		mail := octets(b)
		wg.Go(func() {
			for {
				n := left.Add(-1)
				if n < 0 {
					return
				}
				copy(mail, fmt.Sprintf("Subject: %d\r\n", n))
				o, err := sp.Stage(ctx, bytes.NewReader(mail))
				if err == nil {
					_, err = sp.Take(ctx, spool.Taken{Mailbox: "m", BoxKey: spool.BoxKey{Account: "a", Box: "b"}, UID: fmt.Sprint("1/", n), Octets: o})
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	<-all
	report(b)
	cancel()
	wg.Wait()
}

type mailArgs struct {
	Octets []byte `json:"octets"`
}

func (mailArgs) Kind() string { return "mail" }

type noop struct {
	river.WorkerDefaults[mailArgs]
	work func()
}

func (w *noop) Work(context.Context, *river.Job[mailArgs]) error {
	w.work()
	return nil
}

// BenchmarkRiver is from inserting a job that holds the mail to its worker, who
// does nothing. River records what is done in batches, after the worker.
func BenchmarkRiver(b *testing.B) {
	ctx := b.Context()
	pragmas := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"}}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "river.db")+"?"+pragmas.Encode())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // SQLite has one writer; more only wait for each other
	driver := riversqlite.New(db)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		b.Fatal(err)
	}
	var done atomic.Int64
	all := make(chan struct{})
	w := &noop{work: func() {
		if done.Add(1) == int64(b.N) {
			close(all)
		}
	}}
	registered := river.NewWorkers()
	river.AddWorker(registered, w)
	client, err := river.NewClient(driver, &river.Config{
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers * 16}},
		Workers:           registered,
		FetchCooldown:     time.Millisecond,
		FetchPollInterval: time.Millisecond,
		Logger:            slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := client.Start(ctx); err != nil {
		b.Fatal(err)
	}
	defer client.Stop(context.WithoutCancel(ctx))
	mail := octets(b)
	b.ResetTimer()
	for n := 0; n < b.N; n += callers {
		var jobs []river.InsertManyParams
		for range min(callers, b.N-n) {
			jobs = append(jobs, river.InsertManyParams{Args: mailArgs{Octets: mail}})
		}
		if _, err := client.InsertManyFast(ctx, jobs); err != nil {
			b.Fatal(err)
		}
	}
	<-all
	report(b)
}
