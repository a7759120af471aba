package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/postferry/postferry/spool"
)

// readers is how many reads run at once, beside the one writer.
const readers = 4

// Store is a spool.Store in one SQLite database.
type Store struct {
	path     string
	lock     *os.File
	writer   *sql.DB
	reader   *sql.DB
	w        statements
	files    files
	boxes    map[spool.BoxKey]int64 // ids, of boxes seen; the writer's
	settings []string
	fresh    bool
	erased   int // mails erased since the last vacuum; the writer's
}

var _ spool.Store = (*Store)(nil)

// Open opens the store at path or makes it, and owns it until Close: a second
// owner gets spool.ErrLocked. A store with a newer schema is spool.ErrNewer.
func Open(ctx context.Context, path string) (_ *Store, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open the store %s: %w", path, err)
		}
	}()
	s := &Store{path: path, boxes: map[spool.BoxKey]int64{}, files: files{dir: path + ".octets"}}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if s.lock, err = own(path + ".lock"); err != nil {
		return nil, err
	}
	// SQLite would make the file by the umask; its -wal and -shm follow the file.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if s.writer, err = sql.Open("sqlite", dsn(path, "auto_vacuum(2)", "journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)")); err != nil {
		return nil, err
	}
	s.writer.SetMaxOpenConns(1)
	if s.fresh, err = migrate(ctx, s.writer); err != nil {
		return nil, grade(err)
	}
	if s.reader, err = sql.Open("sqlite", dsn(path, "query_only(1)", "busy_timeout(5000)")); err != nil {
		return nil, err
	}
	s.reader.SetMaxOpenConns(readers)
	s.reader.SetMaxIdleConns(readers)
	if err := s.w.prepare(ctx, s.writer); err != nil {
		return nil, grade(err)
	}
	if err := s.readSettings(ctx); err != nil {
		return nil, grade(err)
	}
	if err := s.sweep(ctx); err != nil {
		return nil, err
	}
	return s, syncDir(filepath.Dir(path))
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

func dsn(path string, pragmas ...string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": pragmas}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// readSettings reads back what the database says it does.
func (s *Store) readSettings(ctx context.Context) error {
	s.settings = nil
	for _, name := range []string{"journal_mode", "synchronous", "auto_vacuum"} {
		var value string
		if err := s.writer.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value); err != nil {
			return err
		}
		s.settings = append(s.settings, name+"="+value)
	}
	return nil
}

// Close implements spool.Store.
func (s *Store) Close() error {
	var errs []error
	s.w.close()
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

// Maintain implements spool.Store: pages that erased mails have left go back to
// the disk, some at a time.
func (s *Store) Maintain(ctx context.Context) error {
	if s.erased < 256 {
		return nil
	}
	s.erased = 0
	rows, err := s.writer.QueryContext(ctx, "PRAGMA incremental_vacuum(1024)")
	if err != nil {
		return grade(err)
	}
	for rows.Next() { // each row is a page given back
	}
	return grade(errors.Join(rows.Err(), rows.Close()))
}

// grade marks the errors after which the disk cannot be believed.
func grade(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) {
		return err
	}
	switch code := e.Code(); {
	case code&0xff == sqlite3.SQLITE_IOERR, code&0xff == sqlite3.SQLITE_CORRUPT, code&0xff == sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", spool.ErrFenced, err)
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
