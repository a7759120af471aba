package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/postferry/postferry/spool"
)

// readers is how many reads run at once, beside the one writer.
const readers = 4

// Store is a spool.Store in one SQLite database.
type Store struct {
	path         string
	lock         *os.File
	writer       *sql.DB
	conn         *sql.Conn // the writer's one connection; nil in a store opened for reading
	reader       *sql.DB
	w            statements
	r            reads
	files        files
	boxes        map[spool.BoxKey]box // those seen; the writer's
	settings     []string
	fresh        bool
	fenced       atomic.Bool
	writing      sync.Mutex // one Commit or Maintain
	erased       int        // mails erased since pages were last given back; the writer's
	checkpointAt int        // pages in the log from which on it is copied
	scrub        bool       // mails were forgotten that may be in the log still; the writer's
}

var _ spool.Store = (*Store)(nil)

// Open opens the store at path or makes it, and owns it until Close: a second
// owner gets spool.ErrLocked. A store with a newer schema is spool.ErrNewer, and
// what is no store is spool.ErrForeign.
func Open(ctx context.Context, path string) (*Store, error) {
	return open(ctx, path, "FULL")
}

// open is Open with a value of PRAGMA synchronous; the test of power cuts shows
// what less than FULL loses.
func open(ctx context.Context, path, synchronous string) (_ *Store, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open the store %s: %w", path, err)
		}
	}()
	s := &Store{path: path, boxes: map[spool.BoxKey]box{}, checkpointAt: checkpointAt, files: files{dir: path + ".octets"}}
	defer func() {
		if err != nil {
			err = s.grade(foreign(err))
			_ = s.Close() // the error that matters is the first
		}
	}()
	if s.lock, err = own(path + ".lock"); err != nil {
		return nil, err
	}
	if err := s.makeFiles(); err != nil {
		return nil, err
	}
	s.writer, err = sql.Open("sqlite", dsn(path, append(shared(synchronous), "busy_timeout(1000)", "auto_vacuum(2)", "journal_mode(WAL)",
		"journal_size_limit(67108864)", "cache_size(-3072)")...))
	if err != nil {
		return nil, err
	}
	s.writer.SetMaxOpenConns(1)
	if s.fresh, err = migrate(ctx, s.writer); err != nil {
		return nil, err
	}
	if err := s.sweep(ctx); err != nil {
		return nil, err
	}
	if err := s.openReader(path, synchronous); err != nil {
		return nil, err
	}
	if s.conn, err = s.writer.Conn(ctx); err != nil {
		return nil, err
	}
	if err := errors.Join(s.w.prepare(ctx, s.conn), s.r.prepare(ctx, s.reader)); err != nil {
		return nil, err
	}
	if err := s.checkSettings(ctx, synchronous); err != nil {
		return nil, err
	}
	// SQLite syncs the folder when it makes the log, and says nothing where that fails.
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, unsynced(err)
	}
	return s, nil
}

// OpenReadOnly opens the store at path for reading only, beside a process that
// owns it or without one. It is fs.ErrNotExist where there is no store; one that
// an older postferry wrote has to be opened by `run` first.
func OpenReadOnly(ctx context.Context, path string) (_ *Store, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open the store %s for reading: %w", path, err)
		}
	}()
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	s := &Store{path: path, files: files{dir: path + ".octets"}}
	defer func() {
		if err != nil {
			err = s.grade(foreign(err))
			_ = s.Close() // the error that matters is the first
		}
	}()
	if err := s.openReader(path, "FULL"); err != nil {
		return nil, err
	}
	version, err := schemaVersion(ctx, s.reader)
	switch {
	case err != nil:
		return nil, err
	case version == 0:
		return nil, fmt.Errorf("nothing was ever stored in it: %w", fs.ErrNotExist)
	case version < len(migrations):
		return nil, fmt.Errorf("an older postferry wrote it (version %d, this one knows %d): `postferry run` brings it up to date", version, len(migrations))
	}
	if err := s.r.prepare(ctx, s.reader); err != nil {
		return nil, err
	}
	return s, s.checkSettings(ctx, "FULL")
}

// makeFiles makes what SQLite does not, or would make by the umask. Its -wal and
// -shm have the mode of the database.
func (s *Store) makeFiles() error {
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return err
	}
	if err := os.Mkdir(s.files.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(s.path))
}

func (s *Store) openReader(path, synchronous string) (err error) {
	// mode=rw: it is not made where there is none.
	name := strings.Replace(dsn(path, append(shared(synchronous), "busy_timeout(5000)", "query_only(1)", "cache_size(-1024)")...), "?", "?mode=rw&", 1)
	if s.reader, err = sql.Open("sqlite", name); err != nil {
		return err
	}
	s.reader.SetMaxOpenConns(readers)
	s.reader.SetMaxIdleConns(readers)
	return nil
}

// Fresh reports whether Open made the store: nothing is known of what was taken
// before.
func (s *Store) Fresh() bool { return s.fresh }

// own locks the file for this process. The lock ends with the process.
func own(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = spool.ErrLocked
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// shared are the settings of every connection, so that one that only reads shows
// those of the one that writes.
func shared(synchronous string) []string {
	return []string{"synchronous(" + synchronous + ")", "mmap_size(0)", "wal_autocheckpoint(0)", "secure_delete(1)"}
}

func dsn(path string, pragmas ...string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": pragmas}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// Close implements spool.Store. The connections of a fenced store are left open
// until the process ends: closing the last one would copy the log into the
// database and remove it, on a disk that said it had failed. So is the lock kept.
func (s *Store) Close() error {
	if s.fenced.Load() {
		return nil
	}
	if err := s.copyLog(); err != nil {
		return err
	}
	var errs []error
	if s.conn != nil {
		s.w.close()
		errs = append(errs, s.conn.Close())
	}
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// copyLog copies the log into the database, as closing the last connection would,
// which says nothing where the disk fails. Where the disk is full, the next process
// copies it.
func (s *Store) copyLog() error {
	if s.conn == nil {
		return nil
	}
	_, _, _, err := s.walCheckpoint(context.Background(), "PASSIVE")
	if err = s.grade(err); errors.Is(err, spool.ErrFenced) {
		return fmt.Errorf("copy the log into the database: %w", err)
	}
	return nil
}

// foreign marks the error by which SQLite says, before anything was read, that the
// file is none of its own.
func foreign(err error) error {
	var e *driver.Error
	if errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_NOTADB {
		return fmt.Errorf("%w: %v", spool.ErrForeign, err) // the driver's error would be graded as one of the disk
	}
	return err
}

// grade marks the errors that a full disk gives, and those after which the disk
// cannot be believed.
func (s *Store) grade(err error) error {
	var e *driver.Error
	if errors.As(err, &e) {
		switch code := e.Code(); {
		case code == sqlite3.SQLITE_IOERR_NOMEM:
		case code&0xff == sqlite3.SQLITE_FULL, code == sqlite3.SQLITE_IOERR_SHMSIZE:
			err = fmt.Errorf("%w: %w", spool.ErrFull, err)
		case code&0xff == sqlite3.SQLITE_IOERR, code&0xff == sqlite3.SQLITE_CORRUPT, code&0xff == sqlite3.SQLITE_NOTADB:
			err = fmt.Errorf("%w: %w", spool.ErrFenced, err)
		}
	}
	if errors.Is(err, spool.ErrFenced) {
		s.fenced.Store(true)
	}
	return err
}

// flags are kept as text, one a line: neither IMAP flags nor keywords have line
// breaks (RFC 9051, section 9, flag-keyword).
func joinFlags(flags []string) string { return strings.Join(flags, "\n") }

func splitFlags(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
