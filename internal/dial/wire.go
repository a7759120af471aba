package dial

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Limits bound what a server may cost.
type Limits struct {
	Read   time.Duration // longest silence while reading; 0 is DefaultRead
	Write  time.Duration // longest wait while writing; 0 is DefaultWrite
	Octets int64         // most octets read in the whole session; 0 is no limit
}

// wire is the TCP connection under TLS, with its limits.
type wire struct {
	net.Conn
	in, out atomic.Int64
	budget  atomic.Int64 // value of in at which reading ends; 0 is never

	mu      sync.Mutex // guards what follows and the order of deadlines set on Conn
	read    lane
	write   lane
	readErr error // first failure to read
	writErr error // first failure to write
}

// lane is the deadline of one direction.
type lane struct {
	set     func(time.Time) error
	timeout time.Duration // rolling; 0 is none
	rolling time.Time     // of the call that runs, or ran last
	bound   time.Time     // from SetDeadline; zero is none
}

// start begins a call: the rolling deadline starts anew.
func (l *lane) start() error {
	l.rolling = time.Time{}
	if l.timeout > 0 {
		l.rolling = time.Now().Add(l.timeout)
	}
	return l.apply()
}

// apply sets the earlier of the two deadlines.
func (l *lane) apply() error {
	t := l.rolling
	if t.IsZero() || !l.bound.IsZero() && l.bound.Before(t) {
		t = l.bound
	}
	return l.set(t)
}

func newWire(raw net.Conn, limits Limits) *wire {
	w := &wire{Conn: raw}
	w.read = lane{set: raw.SetReadDeadline, timeout: limits.Read}
	w.write = lane{set: raw.SetWriteDeadline, timeout: limits.Write}
	if w.read.timeout == 0 {
		w.read.timeout = DefaultRead
	}
	if w.write.timeout == 0 {
		w.write.timeout = DefaultWrite
	}
	w.budget.Store(limits.Octets)
	return w
}

// Read reads what is there, at most what the budget leaves. It keeps little on the
// stack: thousands of connections wait in it, and a stack that is deeper than a few
// hundred octets costs each of them a further page.
func (w *wire) Read(p []byte) (int, error) {
	p, err := w.beginRead(p)
	if err != nil {
		return 0, err
	}
	n, err := w.Conn.Read(p)
	w.in.Add(int64(n))
	if err != nil {
		err = w.endRead(err)
	}
	return n, err
}

// beginRead sets the deadline and cuts p down to the budget.
//
//go:noinline
func (w *wire) beginRead(p []byte) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.readErr != nil {
		return nil, w.readErr
	}
	if limit := w.budget.Load(); limit > 0 {
		left := limit - w.in.Load()
		if left <= 0 && len(p) > 0 {
			return nil, w.failRead(&Error{Stage: "read", Err: fmt.Errorf("%w: %d octets", ErrBudget, limit)})
		}
		p = p[:min(int64(len(p)), left)]
	}
	return p, w.read.start()
}

//go:noinline
func (w *wire) endRead(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failRead(w.explain("read", w.read.timeout, err))
}

// Write writes p.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	if w.writErr != nil {
		defer w.mu.Unlock()
		return 0, w.writErr
	}
	err := w.write.start()
	w.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := w.Conn.Write(p)
	w.out.Add(int64(n))
	if err == nil {
		return n, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writErr == nil {
		w.writErr = w.explain("write", w.write.timeout, err)
	}
	return n, w.writErr
}

// failRead makes err stick to both directions. w.mu is held.
func (w *wire) failRead(err error) error {
	if w.readErr == nil {
		w.readErr = err
	}
	if w.writErr == nil {
		w.writErr = err
	}
	return w.readErr
}

// explain says in words what a timeout was.
func (w *wire) explain(stage string, timeout time.Duration, err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	what := "no answer"
	if stage == "write" {
		what = "nothing was accepted"
	}
	if timeout > 0 {
		what += " within " + timeout.String()
	}
	return &Error{Stage: stage, Err: fmt.Errorf("%s: %w", what, os.ErrDeadlineExceeded)}
}

func (w *wire) setBudget(n int64) {
	if n > 0 {
		n += w.in.Load()
	}
	w.budget.Store(n)
}

func (w *wire) setReadTimeout(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read.timeout = d
	w.read.start() // fails only on a closed connection, as the next read will
}

// SetDeadline implements net.Conn.
func (w *wire) SetDeadline(t time.Time) error {
	return errors.Join(w.SetReadDeadline(t), w.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (w *wire) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read.bound = t
	return w.read.apply()
}

// SetWriteDeadline implements net.Conn.
func (w *wire) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.write.bound = t
	return w.write.apply()
}
