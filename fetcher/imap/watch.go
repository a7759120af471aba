package imap

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// watch bounds one exchange with the server until stop is called: the
// connection is closed when ctx ends, when the server neither sends nor accepts
// an octet for silence, or when the exchange lasts longer than total (0 is
// without end). Time during which nothing is wanted of the server, because a
// mail is being stored, is not its silence. Where total is 0, a server that drips is
// silent too: leastOctets have to come in each dripTime it is waited for.
func (g *guard) watch(ctx context.Context, silence, total time.Duration) (stop func()) {
	w := &watcher{g: g, silence: silence, total: total, start: time.Now(), octets: g.in.octets.Load(), waited: g.in.waited.Load()}
	leave := context.AfterFunc(ctx, func() { g.fail(context.Cause(ctx)) })
	w.mu.Lock()
	w.timer = time.AfterFunc(w.wait(w.start), w.tick)
	w.mu.Unlock()
	return func() {
		leave()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timer.Stop()
		w.timer = nil
	}
}

type watcher struct {
	g              *guard
	silence, total time.Duration
	start          time.Time
	octets, waited int64 // of the inlet when the last dripTime began

	mu    sync.Mutex
	timer *time.Timer // nil once stopped
}

// tick looks whether time is up, and sets the timer anew if not.
func (w *watcher) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		return
	}
	now := time.Now()
	switch {
	case w.silentFor(now) >= w.silence:
		w.g.fail(fmt.Errorf("no answer within %s: %w", w.silence, os.ErrDeadlineExceeded))
	case w.total > 0 && now.Sub(w.start) >= w.total:
		w.g.fail(fmt.Errorf("no end of the answer within %s: %w", w.total, os.ErrDeadlineExceeded))
	case w.total == 0 && w.drips():
		w.g.fail(fmt.Errorf("no more than %d octets within %s: %w", leastOctets, dripTime, os.ErrDeadlineExceeded))
	default:
		w.timer.Reset(w.wait(now))
	}
}

// wait is how long nothing can happen.
func (w *watcher) wait(now time.Time) time.Duration {
	d := w.silence - w.silentFor(now)
	if w.total > 0 {
		d = min(d, w.total-now.Sub(w.start))
	} else {
		d = min(d, dripTime/4)
	}
	return max(d, time.Millisecond)
}

// Bounds of a server that sends something of a mail now and then.
const (
	dripTime    = 4 * time.Minute
	leastOctets = 64 << 10
)

// drips reports whether a whole dripTime was spent waiting for less than
// leastOctets.
func (w *watcher) drips() bool {
	octets, waited := w.g.in.octets.Load(), w.g.in.waited.Load()
	if time.Duration(waited-w.waited) < dripTime {
		return false
	}
	few := octets-w.octets < leastOctets
	w.octets, w.waited = octets, waited
	return few
}

// silentFor is for how long the server has been waited for.
func (w *watcher) silentFor(now time.Time) time.Duration {
	longest := time.Duration(0)
	for _, blocked := range []int64{w.g.in.blocked.Load(), w.g.writing.Load()} {
		if blocked != 0 {
			since := max(blocked, w.start.UnixNano())
			longest = max(longest, time.Duration(now.UnixNano()-since))
		}
	}
	return longest
}
