package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/admin"
	"github.com/postferry/postferry/fetcher"
)

func TestTailShowsHowMailboxesFare(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		event fetcher.Event
		want  string
	}{
		{fetcher.Event{At: at, Mailbox: "support", What: fetcher.Lost, Err: errors.New("waiting for mail: no answer within 30s"), Next: at.Add(5 * time.Second)},
			"lost        support: waiting for mail: no answer within 30s, next "},
		{fetcher.Event{At: at, Mailbox: "support", What: fetcher.Slowed, Err: errors.New("the server wants more time"), Next: at.Add(15 * time.Minute)},
			"slowed      support: the server wants more time, next "},
		{fetcher.Event{At: at, Mailbox: "support", What: fetcher.Recovered}, "recovered   support"},
	} {
		line := eventLine(mailboxEvent(c.event))
		if !strings.Contains(line, c.want) || c.event.Err == nil && !strings.HasSuffix(line, c.want) {
			t.Errorf("%s is shown as %q, want %q", c.event.What, line, c.want)
		}
	}
}

func TestStatusShowsWhichMailboxesTheirServersSlowDown(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	st := admin.Status{Slowed: slowed([]fetcher.Pace{{Mailbox: "support", Pause: 15 * time.Minute, Until: at}})}
	if s := st.Slowed[0]; s.Seconds != 900 || !s.Until.Equal(at) {
		t.Errorf("status %+v", st.Slowed)
	}
	var out bytes.Buffer
	(&cli{out: &out}).printStatus(st, at)
	if want := "support is polled every 15m0s at most"; !strings.Contains(out.String(), want) {
		t.Errorf("status shows %q, want %q in it", out.String(), want)
	}
}
