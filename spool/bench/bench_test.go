package bench

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

const (
	size    = 4 << 10 // octets of a mail
	callers = 64      // that hand mail in at once; River's inserts are batches of as many
	workers = 16      // what a Dispatcher has for one sink and for routing by default
	retain  = 7 * 24 * time.Hour
	rounds  = 3
)

// contestant carries n mails from being accepted to deliver, and tells how long
// it took.
type contestant struct {
	name string
	run  func(b *testing.B, n int, deliver func(context.Context, io.Reader) error) time.Duration
}

// BenchmarkNoOp is to a worker that does nothing.
func BenchmarkNoOp(b *testing.B) {
	compete(b, func(context.Context, io.Reader) error { return nil },
		contestant{"spool", runSpool}, contestant{"dispatcher", runDispatcher}, contestant{"river", runRiver})
}

// BenchmarkHTTP is to a worker that posts the mail to a receiver on the same
// machine.
func BenchmarkHTTP(b *testing.B) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			b.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	compete(b, func(ctx context.Context, octets io.Reader) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, receiver.URL, octets)
		if err != nil {
			return err
		}
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}, contestant{"dispatcher", runDispatcher}, contestant{"river", runRiver})
}

// compete runs each contestant in turn, a few rounds, and reports the median of
// its rounds. With CONTESTANT, the name of one, it runs that one alone, and reports
// the most memory the process has had resident.
func compete(b *testing.B, deliver func(context.Context, io.Reader) error, contestants ...contestant) {
	if only := os.Getenv("CONTESTANT"); only != "" {
		contestants = slices.DeleteFunc(contestants, func(c contestant) bool { return c.name != only })
		defer func() { b.ReportMetric(float64(highWater(b))/1000, "VmHWM-MB") }()
	}
	rates, costs := make([][]float64, len(contestants)), make([][]float64, len(contestants))
	for range rounds {
		for i, c := range contestants {
			before := cpu(b)
			took := c.run(b, b.N, deliver)
			rates[i] = append(rates[i], float64(b.N)/took.Seconds())
			costs[i] = append(costs[i], 1000*(cpu(b)-before).Seconds()/float64(b.N))
		}
	}
	for i, c := range contestants {
		slices.Sort(rates[i])
		slices.Sort(costs[i])
		b.ReportMetric(rates[i][rounds/2], c.name+"-mails/s")
		b.ReportMetric(costs[i][rounds/2], c.name+"-cpu-s/1000")
	}
	b.ReportMetric(0, "ns/op") // of all together, which says nothing
}

// cpu is what this process has used of the processors.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// highWater is VmHWM, in kB.
func highWater(b *testing.B) (kB int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if n, err := fmt.Sscanf(line, "VmHWM: %d kB", &kB); n == 1 && err == nil {
			return kB
		}
	}
	b.Fatal("/proc/self/status tells no VmHWM")
	return 0
}

// mail is one of size octets that no other equals.
func mail(n int) []byte {
	head := fmt.Sprintf("From: Ada Byron <ada@customer.example>\r\nTo: support@example.com\r\nSubject: mail %d\r\nMessage-ID: <%d@mail.example>\r\n\r\n", n, n)
	const line = "A line of a mail of four kilobytes in all.\r\n"
	return []byte(head + strings.Repeat(line, size/len(line)+1))[:size]
}

func openSpool(b *testing.B) *spool.Spool {
	store, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "spool.db"))
	if err != nil {
		b.Fatal(err)
	}
	sp, err := spool.Open(b.Context(), store, spool.Options{Retain: retain})
	if err != nil {
		b.Fatal(err)
	}
	return sp
}

// takeAll takes mails 0 to n-1 from several callers at once, each of which waits
// until its mail is durable.
func takeAll(ctx context.Context, b *testing.B, sp *spool.Spool, n int, wg *sync.WaitGroup) {
	var next atomic.Int64
	for range callers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				o, err := sp.Stage(ctx, bytes.NewReader(mail(i)))
				if err == nil {
					_, err = sp.Take(ctx, spool.Taken{
						Mailbox: "m", Protocol: "imap", BoxKey: spool.BoxKey{Account: "ada@mail.example", Box: "INBOX"},
						UID: fmt.Sprint("1/", i+1), ReceivedAt: time.Now(), Octets: o,
					})
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
}

// runSpool is the spool alone.
func runSpool(b *testing.B, n int, deliver func(context.Context, io.Reader) error) time.Duration {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	sp := openSpool(b)
	defer sp.Close()
	var wg sync.WaitGroup
	var done atomic.Int64
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
					err = deliver(ctx, c.Item.Octets.Reader())
				}
				if err == nil {
					err = sp.Record(ctx, c.Item.ID, spool.Outcome{Delivery: c.Delivery, State: spool.Delivered, Attempt: spool.Attempt{At: time.Now()}})
				}
				if err != nil {
					return
				}
				if done.Add(1) == int64(n) {
					close(all)
				}
			}
		})
	}
	start := time.Now()
	takeAll(ctx, b, sp, n, &wg)
	<-all
	took := time.Since(start)
	cancel()
	wg.Wait()
	return took
}

// sink is deliver as one.
type sink func(context.Context, io.Reader) error

func (s sink) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	return sinks.Receipt{}, s(ctx, d.Octets.Reader())
}

func (s sink) Close() error { return nil }

// runDispatcher is the whole of what lies between a mailbox and a sink: every
// mail is parsed and routed.
func runDispatcher(b *testing.B, n int, deliver func(context.Context, io.Reader) error) time.Duration {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	sp := openSpool(b)
	defer sp.Close()
	var done atomic.Int64
	all := make(chan struct{})
	d := sinks.New(sp, map[string][]sinks.Route{"m": {{To: "app"}}}, map[string]sinks.Destination{"app": {Sink: sink(deliver)}}, sinks.Options{
		Observe: func(e sinks.Event) {
			if e.Delivery != "" && done.Add(1) == int64(n) {
				close(all)
			}
		},
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	start := time.Now()
	takeAll(ctx, b, sp, n, &wg)
	<-all
	took := time.Since(start)
	cancel()
	wg.Wait()
	return took
}

type mailArgs struct {
	Octets []byte `json:"octets"`
}

func (mailArgs) Kind() string { return "mail" }

type worker struct {
	river.WorkerDefaults[mailArgs]
	work func(context.Context, io.Reader) error
}

func (w *worker) Work(ctx context.Context, j *river.Job[mailArgs]) error {
	return w.work(ctx, bytes.NewReader(j.Args.Octets))
}

// runRiver inserts jobs that hold the mail. River records what is done in
// batches, after the worker, and more workers than these gain it nothing.
func runRiver(b *testing.B, n int, deliver func(context.Context, io.Reader) error) time.Duration {
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
	registered := river.NewWorkers()
	river.AddWorker(registered, &worker{work: func(ctx context.Context, octets io.Reader) error {
		err := deliver(ctx, octets)
		if err == nil && done.Add(1) == int64(n) {
			close(all)
		}
		return err
	}})
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
	start := time.Now()
	for i := 0; i < n; i += callers {
		var jobs []river.InsertManyParams
		for k := range min(callers, n-i) {
			jobs = append(jobs, river.InsertManyParams{Args: mailArgs{Octets: mail(i + k)}})
		}
		if _, err := client.InsertManyFast(ctx, jobs); err != nil {
			b.Fatal(err)
		}
	}
	<-all
	return time.Since(start)
}
