package failpoint

// Points are all there are, by room. A room adds its own here.
var Points = []string{
	// Octets on their way to a mail server, and octets that came from it: with
	// :hit#K each command and each piece of an answer of a session, whatever the
	// protocol.
	"wire.send.before",
	"wire.send.after",
	"wire.received",

	// A mail in the hands of its sink: not yet, and accepted but not recorded.
	"deliver.before",
	"deliver.after",

	// Settlements in the hands of the server: not yet, and confirmed but not
	// recorded.
	"settle.before",
	"settle.after",

	// A large mail on its way to its file beside the store.
	"spool.stage.write",
	"spool.stage.fsync.before",
	"spool.stage.fsync.after",
	"spool.rename.before",
	"spool.rename.after",
	"spool.folder.fsync.before",
	"spool.folder.fsync.after",
	"spool.unlink.before",
	"spool.unlink.after",

	// The transaction that holds such a change: written but not committed, then
	// durable but not yet told to the caller.
	"spool.take.commit.before",
	"spool.take.commit.after",
	"spool.route.commit.before",
	"spool.route.commit.after",
	"spool.record.commit.before",
	"spool.record.commit.after",
	"spool.settled.commit.before",
	"spool.settled.commit.after",
	"spool.ledger.commit.before",
	"spool.ledger.commit.after",
	"spool.requeue.commit.before",
	"spool.requeue.commit.after",
	"spool.forget.commit.before",
	"spool.forget.commit.after",
	"spool.purge.commit.before",
	"spool.purge.commit.after",

	// Moving what is in the write-ahead log to the database.
	"spool.checkpoint.before",
	"spool.checkpoint.after",
}
