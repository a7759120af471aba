package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/spool"
)

const (
	staging = "tmp-" // prefix of files not yet named by a row
	lasting = "mail-"
)

// files is the folder of large mails.
type files struct{ dir string }

// Stage implements spool.Store.
func (s *Store) Stage() (spool.Staging, error) {
	if s.conn == nil {
		return nil, spool.ErrReadOnly
	}
	name := staging + rand.Text()
	f, err := os.OpenFile(filepath.Join(s.files.dir, name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, full(err)
	}
	return &stagingFile{file: &file{dir: s.files.dir, name: name, f: f}}, nil
}

// syncEach is how much of a large mail is written between two syncs. One sync of
// all of it would hold up those of the log for as long as the disk takes.
const syncEach = 4 << 20

// stagingFile is a large mail being written.
type stagingFile struct {
	file    *file
	pending int // octets written since the last sync
	synced  bool
}

func (s *stagingFile) Write(p []byte) (int, error) {
	failpoint.Hit("spool.stage.write")
	n, err := s.file.f.Write(p)
	if err != nil {
		return n, full(err)
	}
	if s.pending += n; s.pending >= syncEach {
		s.pending = 0
		if err := s.file.f.Sync(); err != nil {
			return n, unsynced(err)
		}
	}
	return n, nil
}

// Sync implements spool.Staging.
func (s *stagingFile) Sync() (spool.File, error) {
	failpoint.Hit("spool.stage.fsync.before")
	if err := s.file.f.Sync(); err != nil {
		return nil, unsynced(err)
	}
	failpoint.Hit("spool.stage.fsync.after")
	s.synced = true
	return s.file, nil
}

// Close implements spool.Staging.
func (s *stagingFile) Close() error {
	if s.synced {
		return nil
	}
	return s.file.Close()
}

// file is a large mail on disk. Close removes it unless a row names it.
type file struct {
	dir  string
	f    *os.File
	mu   sync.Mutex
	name string
	kept bool
}

func (f *file) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// Close implements spool.File.
func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.f.Close()
	if f.kept {
		return err
	}
	return errors.Join(err, os.Remove(filepath.Join(f.dir, f.name)))
}

// adopt gives the file its lasting name, which a row is about to hold.
func (f *file) adopt() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.HasPrefix(f.name, lasting) { // of a batch that failed
		f.kept = true
		return nil
	}
	name := lasting + strings.TrimPrefix(f.name, staging)
	failpoint.Hit("spool.rename.before")
	if err := os.Rename(filepath.Join(f.dir, f.name), filepath.Join(f.dir, name)); err != nil {
		return full(err)
	}
	failpoint.Hit("spool.rename.after")
	f.name, f.kept = name, true
	return nil
}

// disown is for a file whose row was not stored: Close removes it.
func (f *file) disown() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = false
}

// adopt gives the large mails of a batch their lasting names, durably.
func (s *Store) adopt(ops []spool.Op) error {
	adopted := false
	for _, op := range ops {
		take, ok := op.(*spool.TakeOp)
		if !ok || take.Octets.File() == nil {
			continue
		}
		f, ok := take.Octets.File().(*file)
		if !ok {
			return errors.New("the mail was staged by another store")
		}
		if err := f.adopt(); err != nil {
			return err
		}
		adopted = true
	}
	if !adopted {
		return nil
	}
	failpoint.Hit("spool.folder.fsync.before")
	if err := syncDir(s.files.dir); err != nil {
		return unsynced(err)
	}
	failpoint.Hit("spool.folder.fsync.after")
	return nil
}

// fileName is what the row of a mail holds; "" for one in memory.
func fileName(o *spool.Octets) string {
	if f, ok := o.File().(*file); ok {
		return f.name
	}
	return ""
}

func disown(o *spool.Octets) {
	if f, ok := o.File().(*file); ok {
		f.disown()
	}
}

// openFile opens the file of a stored mail. One that is not there, or not whole,
// is found out when it is read, so that a mail whose octets were lost on the disk
// keeps no other waiting.
func (s *Store) openFile(name string, size int64) (spool.File, error) {
	f, err := os.Open(filepath.Join(s.files.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return lost{fmt.Errorf("the mail's octets are not beside the store any more: %w", err)}, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() != size {
		_ = f.Close() // nothing was written through it
		return lost{fmt.Errorf("%s has %d octets, and the mail %d", f.Name(), info.Size(), size)}, nil
	}
	if err != nil {
		_ = f.Close() // the error that matters is Stat's
		return nil, err
	}
	return &file{dir: s.files.dir, name: name, f: f, kept: true}, nil
}

// remove removes files that no row names any more. One that stays is swept when
// the store is opened next.
func (s *Store) remove(names []string) {
	for _, name := range names {
		failpoint.Hit("spool.unlink.before")
		_ = os.Remove(filepath.Join(s.files.dir, name))
		failpoint.Hit("spool.unlink.after")
	}
}

// sweep removes what a crash left: files no row names.
func (s *Store) sweep(ctx context.Context) error {
	entries, err := os.ReadDir(s.files.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, staging) && !strings.HasPrefix(name, lasting) {
			continue // not ours
		}
		var named bool
		err := s.writer.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM items WHERE file = ? AND file <> '' AND erased = 0)", name).Scan(&named)
		if err != nil {
			return err
		}
		if !named {
			if err := os.Remove(filepath.Join(s.files.dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// lost is the file of a mail that cannot be read.
type lost struct{ err error }

func (l lost) ReadAt([]byte, int64) (int, error) { return 0, l.err }
func (l lost) Close() error                      { return nil }

// full marks the errors of a disk that is full, or whose user may have no more.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", spool.ErrFull, err)
	}
	return err
}

// unsynced is the error of a failed sync. What the kernel did with the pages is
// not known, unless it never had room for them.
func unsynced(err error) error {
	if full := full(err); errors.Is(full, spool.ErrFull) {
		return full
	}
	return fmt.Errorf("%w: %w", spool.ErrFenced, err)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
