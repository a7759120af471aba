package spool_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/spool"
)

func TestRoutingAheadKeepsItsFactsWhereTheMailLeavesTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no time passes, so that it stays ahead
		f := newFront(t, spool.Options{Window: 30 << 10})
		defer f.Close()
		f.take(10 << 10)
		first := f.ahead("kept", "app")
		for range 4 {
			f.take(10 << 10)
		}
		c := f.claim("app")
		if c.Item.ID != first || string(c.Item.Facts) != "kept" {
			t.Errorf("mail %d with facts %q", c.Item.ID, c.Item.Facts)
		}
		f.record(c, spool.Delivered, time.Time{})
	})
}

func TestOutcomeThatTheStoreRefusesIsRecordedLaterWithItsRouting(t *testing.T) {
	f := newFront(t, spool.Options{})
	defer f.Close()
	f.take(100)
	f.ahead("", "app")
	c := f.claim("app")
	f.store.fail(spool.ErrFull)
	o := spool.Outcome{Delivery: c.Delivery, State: spool.Delivered}
	if err := f.Record(t.Context(), c.Item.ID, o); !errors.Is(err, spool.ErrFull) {
		t.Fatalf("recorded on a full disk: %v", err)
	}
	f.store.fail(nil)
	if err := f.Record(t.Context(), c.Item.ID, o); err != nil {
		t.Fatal(err)
	}
	m, err := f.Show(t.Context(), spool.Target{Item: c.Item.ID})
	if err != nil || m.State != spool.Delivered || len(m.Deliveries[0].Attempts) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestRoutingsThatCannotBeRecordedAreRecordedWhenTheDiskIsBack(t *testing.T) {
	f := newFront(t, spool.Options{})
	defer f.Close()
	for range 3 {
		f.take(100)
		f.ahead("", "app", "lines")
	}
	f.store.fail(spool.ErrFull)
	if _, err := f.Retry(t.Context(), spool.Target{Item: 1}); !errors.Is(err, spool.ErrFull) {
		t.Fatalf("a retry on a full disk: %v", err)
	}
	f.store.fail(nil)
	st, err := f.Status(t.Context())
	if err != nil || len(st.Sinks) != 2 || st.Sinks[0].Pending != 3 {
		t.Errorf("%+v, %v", st.Sinks, err)
	}
}

func TestMailIsRoutedAheadOnce(t *testing.T) {
	f := newFront(t, spool.Options{})
	defer f.Close()
	f.take(100)
	id := f.ahead("", "app")
	for name, route := range map[string]func() error{
		"ahead":    func() error { return f.RouteAhead(t.Context(), id, spool.Routing{To: []spool.To{{Sink: "lines"}}}) },
		"recorded": func() error { return f.Route(t.Context(), id, spool.Routing{To: []spool.To{{Sink: "lines"}}}) },
	} {
		if err := route(); !errors.Is(err, spool.ErrRouted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.record(f.claim("app"), spool.Delivered, time.Time{})
}
