package main

import (
	"errors"
	"strings"
	"testing"
	"time"

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
		{fetcher.Event{At: at, Mailbox: "support", What: fetcher.Recovered}, "recovered   support"},
	} {
		line := eventLine(mailboxEvent(c.event))
		if !strings.Contains(line, c.want) || c.event.Err == nil && !strings.HasSuffix(line, c.want) {
			t.Errorf("%s is shown as %q, want %q", c.event.What, line, c.want)
		}
	}
}
