package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// dryRun shows what `run --once` would send. It works on a store of its own,
// thrown away at the end, that knows what the real one knows; boxes are opened
// without changing anything, nothing is settled, and sinks show instead of send.
func (c *cli) dryRun(ctx context.Context, s *setup, f runFlags, log *slog.Logger) error {
	dir, err := os.MkdirTemp("", "postferry-dry-run-")
	if err != nil {
		return fmt.Errorf("making a store to throw away: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "store.db")
	if storeExists(s.Store.Path) {
		if err := sqlite.CopyLedger(ctx, s.Store.Path, path); err != nil {
			return fmt.Errorf("reading what the store knows: %w", err)
		}
	}
	store, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	sp, err := spool.Open(ctx, store, spool.Options{Logger: log})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	show := &shower{out: c.out}
	v, err := newService(s, sp, log, serviceOptions{
		readOnly: true,
		inert:    true,
		wrap:     func(name string, sink sinks.Sink) sinks.Sink { return &dryRunSink{Sink: sink, name: name, show: show} },
		mailbox: func(m *fetcher.Mailbox) {
			m.Policy, m.SettleWait, m.Limit = spool.Policy{After: spool.Action{Verb: spool.Keep}, Failed: spool.Action{Verb: spool.Keep}}, 0, f.limit
		},
	})
	if err != nil {
		return errors.Join(err, sp.Close())
	}
	err = v.once(ctx, 0)
	return errors.Join(err, show.err, v.close())
}

// shower prints requests, one document a line.
type shower struct {
	mu  sync.Mutex
	out io.Writer
	err error
}

func (s *shower) show(e explained) {
	s.mu.Lock()
	defer s.mu.Unlock()
	enc := json.NewEncoder(s.out)
	enc.SetEscapeHTML(false)
	s.err = errors.Join(s.err, enc.Encode(e))
}

// dryRunSink shows what the sink would send.
type dryRunSink struct {
	sinks.Sink
	name string
	show *shower
}

// Deliver implements sinks.Sink.
func (d *dryRunSink) Deliver(_ context.Context, m *sinks.Delivery) (sinks.Receipt, error) {
	d.show.show(previewOf(d.name, d.Sink, m))
	return sinks.Receipt{Detail: "shown " + time.Now().Format(time.TimeOnly)}, nil
}

// SplitsAttachments implements sinks.Splitter as the sink does.
func (d *dryRunSink) SplitsAttachments() bool {
	s, ok := d.Sink.(sinks.Splitter)
	return ok && s.SplitsAttachments()
}
