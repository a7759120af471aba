// Package sqlite keeps the spool in one SQLite database, for one process at a
// time: WAL, synchronous=FULL, one transaction for each batch of the front. It
// is the embedded default.
//
// Beside the database FILE stand
//
//	FILE-wal, FILE-shm   SQLite's own
//	FILE.lock            locked by the process that owns the store
//	FILE.octets/         one file for each mail larger than spool.InRow
//
// A large mail is written under a temporary name, synced, renamed and its folder
// synced before the transaction that stores the mail; a file that no row names
// is removed when the store is opened. All of it is readable by the owner only.
//
// schema.go has the tables and their versions, commit.go what changes them,
// read.go what reads them, files.go the large mails.
package sqlite
