package redis

import (
	"context"
	"errors"
	"testing"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
	"github.com/postferry/postferry/sinks/sinktest"
)

func asked(t *testing.T, ctx context.Context) *request {
	t.Helper()
	m, err := queue.NewMaker(queue.Options{}, payload.Renderer{}, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	made, err := m.Make(sinktest.Delivery(t, 1, sinktest.Mail), 0)
	if err != nil {
		t.Fatal(err)
	}
	return &request{ctx: ctx, message: made, done: make(chan struct{})}
}

func TestLanesAreUsedAtOnce(t *testing.T) {
	begun, goOn := make(chan int), make(chan struct{})
	b := newBatches(3, func(lane int, batch []*request) {
		begun <- lane
		<-goOn
		fail(batch, nil)
	})
	used := map[int]bool{}
	for range 3 {
		b.add(asked(t, t.Context()))
		used[<-begun] = true
	}
	close(goOn)
	b.wait()
	if len(used) != 3 {
		t.Errorf("lanes %v", used)
	}
}

func TestWhatComesWhileABatchIsUnderWayLeavesTogether(t *testing.T) {
	begun, goOn := make(chan int), make(chan struct{})
	b := newBatches(1, func(_ int, batch []*request) {
		begun <- len(batch)
		<-goOn
		fail(batch, nil)
	})
	b.add(asked(t, t.Context()))
	if n := <-begun; n != 1 {
		t.Errorf("the first batch has %d", n)
	}
	all := make([]*request, 20)
	for i := range all {
		all[i] = asked(t, t.Context())
		b.add(all[i])
	}
	goOn <- struct{}{}
	if n := <-begun; n != 20 {
		t.Errorf("the second batch has %d", n)
	}
	goOn <- struct{}{}
	b.wait()
	for _, r := range all {
		<-r.done
	}
}

func TestWhatNobodyWaitsForIsNotSent(t *testing.T) {
	begun, goOn := make(chan int), make(chan struct{})
	b := newBatches(1, func(_ int, batch []*request) {
		begun <- len(batch)
		<-goOn
		fail(batch, nil)
	})
	b.add(asked(t, t.Context()))
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	left := asked(t, ctx)
	b.add(left)
	cancel()
	goOn <- struct{}{}
	b.wait()
	if <-left.done; !errors.Is(left.err, context.Canceled) {
		t.Errorf("its error is %v", left.err)
	}
}

func TestABatchIsBounded(t *testing.T) {
	var sizes []int
	begun, goOn := make(chan struct{}), make(chan struct{})
	b := newBatches(1, func(_ int, batch []*request) {
		if len(sizes) == 0 {
			close(begun)
			<-goOn
		}
		sizes = append(sizes, len(batch))
		fail(batch, nil)
	})
	b.add(asked(t, t.Context()))
	<-begun
	for range mostRequests + 10 {
		b.add(asked(t, t.Context()))
	}
	close(goOn)
	b.wait()
	if len(sizes) != 3 || sizes[1] != mostRequests || sizes[2] != 10 {
		t.Errorf("batches of %d", sizes)
	}
}
