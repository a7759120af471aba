package file

import (
	"errors"
	"os"
	"sync"
)

// syncer lets all who wrote to a file at about the same time share one fsync.
// An error is final: after a failed fsync the system may have dropped what it
// could not write, and a second one that succeeds proves nothing.
type syncer struct {
	file *os.File

	mu      sync.Mutex
	done    sync.Cond
	written uint64 // how many writes there were
	synced  uint64 // how many of them are on disk
	syncing bool
	err     error
}

func newSyncer(f *os.File) *syncer {
	s := &syncer{file: f}
	s.done.L = &s.mu
	return s
}

// wrote counts a write that has just succeeded and returns its number.
func (s *syncer) wrote() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written++
	return s.written
}

// wait returns once write n is on disk. The first to come carries out the fsync
// for all who wrote before it began.
func (s *syncer) wait(n uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.synced < n && s.err == nil {
		if s.syncing {
			s.done.Wait()
			continue
		}
		s.syncing = true
		covered := s.written
		s.mu.Unlock()
		err := s.file.Sync()
		s.mu.Lock()
		s.syncing = false
		if err == nil {
			s.synced = covered
		}
		s.err = err
		s.done.Broadcast()
	}
	if s.synced >= n {
		return nil
	}
	return s.err
}

// finish waits for everything written so far.
func (s *syncer) finish() error {
	s.mu.Lock()
	n := s.written
	s.mu.Unlock()
	return s.wait(n)
}

// broken reports that an fsync has failed.
func (s *syncer) broken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
