package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// CopyLedger makes a new store at to that knows the boxes and UIDs the store at
// from knows, and holds no mail. from may be in use, and is not changed.
func CopyLedger(ctx context.Context, from, to string) (err error) {
	s, err := Open(ctx, to)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(to, "busy_timeout(5000)"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	// mode=rw: it is not made where there is none. Nothing is written to it.
	source := strings.Replace(dsn(from), "?", "?mode=rw&", 1)
	if _, err := db.ExecContext(ctx, "ATTACH ? AS source", source); err != nil {
		return fmt.Errorf("open the store %s: %w", from, err)
	}
	head := "0" // as yet unknown to a store that an older version has written
	if err := db.QueryRowContext(ctx, "SELECT coalesce(max(name), '0') FROM pragma_table_info('ledger', 'source') WHERE name = 'head'").Scan(&head); err != nil {
		return fmt.Errorf("read the store %s: %w", from, err)
	}
	for _, copied := range []string{
		"INSERT INTO main.boxes SELECT * FROM source.boxes",
		"INSERT INTO main.ledger (box, uid, item, gone, renumbered, head) SELECT box, uid, NULL, gone, renumbered, " + head + " FROM source.ledger",
	} {
		if _, err := db.ExecContext(ctx, copied); err != nil {
			return fmt.Errorf("copy what the store %s knows: %w", from, err)
		}
	}
	return nil
}
