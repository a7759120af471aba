package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/postferry/postferry/internal/failpoint"
)

const (
	checkpointAt = 1000 // pages in the log
	vacuumAt     = 256  // mails erased
	vacuumPiece  = 1024 // pages given back at a time
)

// Maintain implements spool.Store: the log is copied into the database, and
// pages that erased mails have left go back to the disk, some at a time.
//
// SQLite would do the first by itself, inside a commit, and say nothing where the
// sync of the database fails; the next one would succeed, without the pages, and
// let the log go that has them. So it is done here, where the error is seen.
func (s *Store) Maintain(ctx context.Context) error {
	if s.conn == nil {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	err := s.checkpoint(ctx)
	if err == nil && s.erased >= vacuumAt {
		err = s.vacuum(ctx)
	}
	return s.grade(err)
}

func (s *Store) checkpoint(ctx context.Context) error {
	if s.scrub { // what was forgotten is to leave the log too
		busy, _, _, err := s.walCheckpoint(ctx, "TRUNCATE")
		s.scrub = busy || err != nil
		return err
	}
	var busy bool
	var pages, done int
	err := s.w.Log.QueryRowContext(ctx).Scan(&busy, &pages, &done)
	if err != nil || pages-done < s.checkpointAt {
		return err
	}
	failpoint.Hit("spool.checkpoint.before")
	_, _, _, err = s.walCheckpoint(ctx, "PASSIVE")
	failpoint.Hit("spool.checkpoint.after")
	return err
}

// walCheckpoint tells whether readers were in the way, how many pages are in the
// log, and how many of them in the database too.
func (s *Store) walCheckpoint(ctx context.Context, mode string) (busy bool, pages, done int, err error) {
	err = s.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &pages, &done)
	return busy, pages, done, err
}

// vacuum gives free pages back where they are more than a quarter of the file:
// what is taken in next needs some anyway.
func (s *Store) vacuum(ctx context.Context) error {
	var free, all int
	err := errors.Join(
		s.conn.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&free),
		s.conn.QueryRowContext(ctx, "PRAGMA page_count").Scan(&all),
	)
	if err != nil {
		return err
	}
	if free < vacuumPiece || free < all/4 {
		s.erased = 0
		return nil
	}
	rows, err := s.conn.QueryContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPiece))
	if err != nil {
		return err
	}
	for rows.Next() { // each row is a page given back
	}
	return errors.Join(rows.Err(), rows.Close())
}
