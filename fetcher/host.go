package fetcher

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	firstOpenings = 4  // connections being made to one host at a time, at first
	mostOpenings  = 64 // and when it has answered many
)

// host bounds the connections that are being made to one server, so that many
// mailboxes do not fall upon it at a start, or when it comes back: each that
// succeeds makes room for one more at a time, one that fails halves it.
type host struct {
	room *semaphore.Weighted

	mu      sync.Mutex
	allowed int // the rest of room is held here
}

func newHost() *host {
	h := &host{room: semaphore.NewWeighted(mostOpenings), allowed: firstOpenings}
	h.room.TryAcquire(mostOpenings - firstOpenings)
	return h
}

func (h *host) begin(ctx context.Context) error { return h.room.Acquire(ctx, 1) }

func (h *host) end() { h.room.Release(1) }

// judge learns from one attempt.
func (h *host) judge(answered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case answered && h.allowed < mostOpenings:
		h.allowed++
		h.room.Release(1)
	case !answered:
		for least := max(firstOpenings, h.allowed/2); h.allowed > least && h.room.TryAcquire(1); {
			h.allowed--
		}
	}
}
