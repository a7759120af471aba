// Package link keeps one connection to a server for all who want to use it.
//
//	l := link.New(open, close, lost, clock)
//	c, err := l.Use(ctx) // the connection there is, else a new one
//	…
//	l.Worked()           // the server has confirmed something
//	l.Broken(c)          // the next Use makes a new one
//
// Connections are made when they are wanted, by one caller while the others wait.
// One that cannot be made is an error for who wanted it, who knows how long to
// leave the server alone. But a connection that is made and breaks before anything
// worked on it would be made again and again: the more often in a row, the longer
// Use waits before the next, with jitter, 30 s at most.
package link

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/postferry/postferry/internal/backoff"
	"github.com/postferry/postferry/internal/clock"
)

// ErrClosed is the error of Use after Close.
var ErrClosed = errors.New("the connection was closed for good")

// pauses are before a connection is made, by how many broke in vain before it.
var pauses = backoff.Schedule{Steps: []time.Duration{0, 2 * time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second}}

// Link is one connection of type C. It is safe for concurrent use.
type Link[C comparable] struct {
	open   func(ctx context.Context) (C, error)
	end    func(C)
	lost   func(C) bool
	clock  clock.Clock
	random func() float64
	turn   chan struct{} // held by who makes a connection

	mu     sync.Mutex
	now    C
	is     bool // now is a connection
	vain   int  // connections in a row that broke before anything worked
	closed bool
}

// New makes a Link without a connection. open makes one, and heeds its context;
// end takes one apart, broken or not, and returns when nothing of it runs any more.
// lost tells of one that ended while nobody used it; nil where that cannot be told.
func New[C comparable](open func(context.Context) (C, error), end func(C), lost func(C) bool, c clock.Clock) *Link[C] {
	return &Link[C]{open: open, end: end, lost: lost, clock: c, random: rand.Float64, turn: make(chan struct{}, 1)}
}

// Use is the connection, which is made if there is none, or if the one there is was
// lost meanwhile. Its error is that of open, of ctx, or ErrClosed.
func (l *Link[C]) Use(ctx context.Context) (C, error) {
	var none C
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	l.mu.Lock()
	now, is, vain, closed := l.now, l.is, l.vain, l.closed
	l.mu.Unlock()
	switch {
	case closed:
		return none, ErrClosed
	case is && (l.lost == nil || !l.lost(now)):
		return now, nil
	case is:
		l.Broken(now)
	}
	if err := l.clock.Sleep(ctx, pauses.Wait(vain, l.random)); err != nil {
		return none, err
	}
	made, err := l.open(ctx)
	if err != nil {
		return none, err
	}
	l.mu.Lock()
	closed = l.closed
	if !closed {
		l.now, l.is = made, true
		l.vain++ // until it has worked
	}
	l.mu.Unlock()
	if closed {
		l.end(made)
		return none, ErrClosed
	}
	return made, nil
}

// Worked says that the server did what it was asked for.
func (l *Link[C]) Worked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.vain = 0
}

// Broken takes a connection apart that is good for nothing any more. It may be
// told several times.
func (l *Link[C]) Broken(c C) {
	l.mu.Lock()
	was := l.is && l.now == c
	if was {
		l.is = false
	}
	l.mu.Unlock()
	if was {
		l.end(c)
	}
}

// Close takes the connection apart; there will be no other.
func (l *Link[C]) Close() {
	l.mu.Lock()
	now, was := l.now, l.is
	l.is, l.closed = false, true
	l.mu.Unlock()
	if was {
		l.end(now)
	}
}
