package redis

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/postferry/postferry/sinks/queue"
)

// request is one delivery that wants to be sent.
type request struct {
	ctx     context.Context // of who waits
	message *queue.Message  // its octets are in entry
	entry   *redis.XAddArgs

	done   chan struct{} // closed once the following are set
	detail string
	err    error
}

// finish tells who waits, if somebody does, and gives the message up.
func (r *request) finish(err error) {
	r.err = err
	r.message.Release()
	close(r.done)
}

func fail(batch []*request, err error) {
	for _, r := range batch {
		r.finish(err)
	}
}

// Bounds of a batch: how many requests, and octets unless one alone has more.
const (
	mostRequests = 256
	mostOctets   = 4 << 20
)

// batches sends requests, over several lanes at once: what comes while all are busy
// leaves together with the next.
type batches struct {
	send func(lane int, batch []*request) // finishes each

	work    sync.WaitGroup
	mu      sync.Mutex
	waiting []*request
	idle    []int // lanes
}

func newBatches(lanes int, send func(lane int, batch []*request)) *batches {
	b := &batches{send: send}
	for i := range lanes {
		b.idle = append(b.idle, lanes-1-i)
	}
	return b
}

// add has a request sent, and finished.
func (b *batches) add(r *request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, r)
	if last := len(b.idle) - 1; last >= 0 {
		lane := b.idle[last]
		b.idle = b.idle[:last]
		b.work.Go(func() { b.drain(lane) })
	}
}

// wait returns when nothing is under way.
func (b *batches) wait() { b.work.Wait() }

func (b *batches) drain(lane int) {
	for batch := b.next(lane); batch != nil; batch = b.next(lane) {
		b.send(lane, batch)
	}
}

// next takes the batch to send; nil says that there is none, and the lane idle. Requests nobody waits for are
// not sent.
func (b *batches) next(lane int) []*request {
	b.mu.Lock()
	defer b.mu.Unlock()
	var batch []*request
	size := int64(0)
	for len(b.waiting) > 0 && len(batch) < mostRequests {
		r := b.waiting[0]
		if r.ctx.Err() != nil {
			r.finish(context.Cause(r.ctx))
		} else {
			if size += int64(len(r.message.Body)); size > mostOctets && len(batch) > 0 {
				return batch
			}
			batch = append(batch, r)
		}
		b.waiting[0] = nil
		b.waiting = b.waiting[1:]
	}
	if batch == nil {
		b.idle = append(b.idle, lane)
	}
	return batch
}

// giveUp calls cancel once nobody waits for any of the batch, until stop.
func giveUp(batch []*request, cancel context.CancelFunc) (stop func()) {
	var left sync.WaitGroup
	over := make(chan struct{})
	left.Go(func() {
		for _, r := range batch {
			select {
			case <-r.ctx.Done():
			case <-over:
				return
			}
		}
		cancel()
	})
	return func() { close(over); left.Wait() }
}
