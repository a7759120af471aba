// Package heap measures what a session holds in memory while a server talks to it:
//
//	m := heap.New()
//	source.connect = … m.Reader(conn) …
//	… the session …
//	if m.Most() > 64<<20 { … }
//
// What is measured is what is in use once the garbage is gone, so that neither time
// nor the garbage collector's pace decides.
package heap

import (
	"io"
	"runtime"
	"sync"
)

const (
	first = 64 << 10 // octets after which it is measured; then at twice as many each time
	every = 16 << 20 // and each time so many more have come
)

// Meter measures from New on. It is safe for concurrent use.
type Meter struct {
	mu     sync.Mutex
	before int64
	most   int64
	octets int64
	next   int64
}

// New begins to measure.
func New() *Meter { return &Meter{before: inUse(), next: first} }

// Count notes octets that have come, and measures now and then.
func (m *Meter) Count(octets int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.octets += int64(octets)
	if m.octets >= m.next {
		m.next = m.octets + min(m.octets, every)
		m.most = max(m.most, inUse()-m.before)
	}
}

// Most is the most that was held so far, in octets, and now.
func (m *Meter) Most() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.most = max(m.most, inUse()-m.before)
	return m.most
}

// Octets are those that have come.
func (m *Meter) Octets() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.octets
}

// Reader counts what is read from r.
func (m *Meter) Reader(r io.Reader) io.Reader { return reader{r, m} }

type reader struct {
	io.Reader
	m *Meter
}

func (r reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.m.Count(n)
	return n, err
}

func inUse() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc + s.StackInuse)
}
