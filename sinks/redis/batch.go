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

// batches sends requests, one batch at a time: what comes while one is under way
// leaves together in the next.
type batches struct {
	send func([]*request) // finishes each

	work    sync.WaitGroup
	mu      sync.Mutex
	waiting []*request
	busy    bool
}

// add has a request sent, and finished.
func (b *batches) add(r *request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, r)
	if !b.busy {
		b.busy = true
		b.work.Go(b.drain)
	}
}

// wait returns when nothing is under way.
func (b *batches) wait() { b.work.Wait() }

func (b *batches) drain() {
	for batch := b.next(); batch != nil; batch = b.next() {
		b.send(batch)
	}
}

// next takes the batch to send; nil ends the work. Requests nobody waits for are
// not sent.
func (b *batches) next() []*request {
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
	b.busy = batch != nil
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
