package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"

	"github.com/postferry/postferry/spool"
)

// migrations bring a store from the version of their index to the next. One
// that has been released is never edited.
var migrations = []string{`
CREATE TABLE boxes (
	id       INTEGER PRIMARY KEY,
	account  TEXT NOT NULL,
	box      TEXT NOT NULL,
	mailbox  TEXT NOT NULL DEFAULT '',
	cursor   TEXT NOT NULL DEFAULT '',
	baseline INTEGER NOT NULL DEFAULT 0,
	known    INTEGER NOT NULL DEFAULT 0,
	UNIQUE (account, box)
) STRICT;

-- The UIDs known of each box. item is NULL for those skipped; gone is the time
-- since which listings lack the UID, 0 while they do not; renumbered is 1 where
-- a whole box was found under other UIDs.
CREATE TABLE ledger (
	box        INTEGER NOT NULL,
	uid        TEXT NOT NULL,
	item       INTEGER,
	gone       INTEGER NOT NULL DEFAULT 0,
	renumbered INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (box, uid)
) STRICT, WITHOUT ROWID;

-- The mails. uid is the one it was taken under, current the one it has now.
-- route: 0 waits for routing, 1 routed, 2 no route matched, 3 quarantined.
-- open and dead count deliveries; ended is when the last of them ended. fate
-- tells which settlements were created: 1 those for a dead mail, 2 those for a
-- delivered one. prefix is the first four octets of sha256, big-endian: an index
-- of it stays small enough for the cache with a million mails. A forgotten mail is here only so that it stays known.
CREATE TABLE items (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	mailbox  TEXT NOT NULL,
	protocol TEXT NOT NULL,
	box      INTEGER NOT NULL,
	uid      TEXT NOT NULL,
	current  TEXT NOT NULL,
	received INTEGER NOT NULL,
	taken    INTEGER NOT NULL,
	flags    TEXT NOT NULL,
	account  TEXT NOT NULL,
	sha256   BLOB NOT NULL,
	prefix   INTEGER NOT NULL,
	ordinal  INTEGER NOT NULL,
	size     INTEGER NOT NULL,
	file     TEXT NOT NULL DEFAULT '',
	erased   INTEGER NOT NULL DEFAULT 0,
	route    INTEGER NOT NULL DEFAULT 0,
	reason   TEXT NOT NULL DEFAULT '',
	facts    BLOB,
	open     INTEGER NOT NULL DEFAULT 0,
	dead     INTEGER NOT NULL DEFAULT 0,
	ended    INTEGER NOT NULL DEFAULT 0,
	after    TEXT NOT NULL,
	delay    INTEGER NOT NULL,
	early    INTEGER NOT NULL,
	failed   TEXT NOT NULL,
	actions  TEXT NOT NULL DEFAULT '',
	fate     INTEGER NOT NULL DEFAULT 0,
	forgotten INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX items_octets ON items (prefix);
CREATE INDEX items_unrouted ON items (id) WHERE route = 0;
CREATE INDEX items_retained ON items (ended) WHERE ended > 0 AND dead = 0 AND erased = 0;
CREATE INDEX items_dead ON items (id) WHERE dead > 0;
CREATE INDEX items_files ON items (file) WHERE file <> '' AND erased = 0;

CREATE TABLE octets (
	item INTEGER PRIMARY KEY,
	data BLOB NOT NULL
) STRICT;

-- state: 0 pending, 1 deferred, 2 delivered, 3 dead
CREATE TABLE deliveries (
	item     INTEGER NOT NULL,
	sink     TEXT NOT NULL,
	part     TEXT NOT NULL,
	id       TEXT NOT NULL,
	state    INTEGER NOT NULL DEFAULT 0,
	due      INTEGER NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	first    INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (item, sink, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_open ON deliveries (sink, due, item, part) WHERE state < 2;
CREATE INDEX deliveries_dead ON deliveries (id) WHERE state = 3;

CREATE TABLE attempts (
	item     INTEGER NOT NULL,
	sink     TEXT NOT NULL,
	part     TEXT NOT NULL,
	n        INTEGER NOT NULL,
	at       INTEGER NOT NULL,
	duration INTEGER NOT NULL,
	state    INTEGER NOT NULL,
	detail   TEXT NOT NULL,
	answer   TEXT NOT NULL,
	error    TEXT NOT NULL,
	PRIMARY KEY (item, sink, part, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE settlements (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	item    INTEGER NOT NULL,
	mailbox TEXT NOT NULL,
	action  TEXT NOT NULL,
	due     INTEGER NOT NULL,
	failed  INTEGER NOT NULL -- 1: for a dead mail
) STRICT;
CREATE INDEX settlements_due ON settlements (mailbox, due, id);
CREATE INDEX settlements_item ON settlements (item);

CREATE TABLE holds (
	sink   TEXT PRIMARY KEY,
	probe  INTEGER NOT NULL,
	reason TEXT NOT NULL
) STRICT;

CREATE TABLE mailboxes (
	name        TEXT PRIMARY KEY,
	listed      INTEGER NOT NULL DEFAULT 0,
	error       TEXT NOT NULL DEFAULT '',
	taken       INTEGER NOT NULL DEFAULT 0,
	toroute     INTEGER NOT NULL DEFAULT 0,
	unrouted    INTEGER NOT NULL DEFAULT 0,
	quarantined INTEGER NOT NULL DEFAULT 0,
	settlements INTEGER NOT NULL DEFAULT 0,
	kept        INTEGER NOT NULL DEFAULT 0, -- octets, as in spool.Charge
	loose       INTEGER NOT NULL DEFAULT 0,
	retained    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The octets of each mailbox's mail that a sink has not accepted.
CREATE TABLE feeds (
	mailbox TEXT NOT NULL,
	sink    TEXT NOT NULL,
	waiting INTEGER NOT NULL,
	PRIMARY KEY (mailbox, sink)
) STRICT, WITHOUT ROWID;

CREATE TABLE sinks (
	name      TEXT PRIMARY KEY,
	pending   INTEGER NOT NULL DEFAULT 0,
	deferred  INTEGER NOT NULL DEFAULT 0,
	delivered INTEGER NOT NULL DEFAULT 0,
	dead      INTEGER NOT NULL DEFAULT 0
) STRICT;
`, `
-- line is the line of an ordered sink that a delivery stands in, 0 for none. Of the
-- open deliveries of a line one is due; the others have spool.Never. behind counts
-- those.
ALTER TABLE deliveries ADD COLUMN line INTEGER NOT NULL DEFAULT 0;
CREATE INDEX deliveries_line ON deliveries (sink, line, due, item, part) WHERE state < 2 AND line <> 0;
ALTER TABLE sinks ADD COLUMN behind INTEGER NOT NULL DEFAULT 0;
`, `
-- head is the mail's spool.HeadSum, 0 where it is not known.
ALTER TABLE ledger ADD COLUMN head INTEGER NOT NULL DEFAULT 0;
CREATE INDEX ledger_renumbered ON ledger (box, head) WHERE renumbered = 1;
CREATE INDEX ledger_headless ON ledger (box) WHERE item IS NULL AND head = 0 AND gone = 0;
`, `
-- What deliveries are to do that their sinks' configuration does not say. parent is
-- the delivery whose answer asked for it. content is empty once the mail's octets
-- are erased; the row stays, so that nothing is done twice. items.extra is how many
-- octets of content a mail has, or had.
CREATE TABLE errands (
	item    INTEGER NOT NULL,
	part    TEXT NOT NULL,
	sink    TEXT NOT NULL,
	verb    TEXT NOT NULL,
	parent  TEXT NOT NULL,
	content BLOB NOT NULL,
	PRIMARY KEY (item, part)
) STRICT;
ALTER TABLE items ADD COLUMN extra INTEGER NOT NULL DEFAULT 0;
`, `
-- What sinks keep in mind of deliveries, as spool.Note.
CREATE TABLE notes (
	sink     TEXT NOT NULL,
	key      TEXT NOT NULL,
	delivery TEXT NOT NULL,
	until    INTEGER NOT NULL,
	PRIMARY KEY (sink, key, delivery)
) STRICT, WITHOUT ROWID;
CREATE INDEX notes_expired ON notes (until);
`, `
-- progress is what a sink has done of a delivery that is open or dead.
ALTER TABLE deliveries ADD COLUMN progress TEXT NOT NULL DEFAULT '';
`, `
ALTER TABLE settlements ADD COLUMN declined INTEGER NOT NULL DEFAULT 0;
CREATE INDEX settlements_declined ON settlements (mailbox) WHERE declined > 0;
`}

// schemaVersion is 0 where there is no schema; a newer one than is known here is
// an error.
func schemaVersion(ctx context.Context, db *sql.DB) (version int, err error) {
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, err
	}
	if version > len(migrations) {
		return version, fmt.Errorf("%w: its version is %d, and this one knows %d", spool.ErrNewer, version, len(migrations))
	}
	return version, nil
}

// Newer reports whether a newer postferry wrote the store whose file begins with
// head, which has to have 100 octets. What is in the write-ahead log alone is not
// seen.
func Newer(head []byte) bool {
	const userVersion = 60 // where the header has it, in big-endian order (SQLite file format, section 1.3)
	return len(head) >= 100 && int64(int32(binary.BigEndian.Uint32(head[userVersion:]))) > int64(len(migrations))
}

// migrate brings the schema up to date; fresh is true where there was none.
func migrate(ctx context.Context, db *sql.DB) (fresh bool, err error) {
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return false, err
	}
	if version == 0 {
		var others int
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&others); err != nil {
			return false, err
		}
		if others > 0 {
			return false, fmt.Errorf("it has tables of something else: %w", spool.ErrForeign)
		}
	}
	for v := version; v < len(migrations); v++ {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return false, err
		}
		if _, err = tx.ExecContext(ctx, migrations[v]); err == nil {
			_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", v+1))
		}
		if err != nil {
			_ = tx.Rollback()
			return false, fmt.Errorf("migrate the store to version %d: %w", v+1, err)
		}
		if err := tx.Commit(); err != nil {
			return false, err
		}
	}
	return version == 0, nil
}
