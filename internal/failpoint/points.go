package failpoint

// Points are all there are, by room. A room adds its own here.
var Points = []string{
	// Octets on their way to a mail server, and octets that came from it: with
	// :hit#K each command and each piece of an answer of a session, whatever the
	// protocol.
	"wire.send.before",
	"wire.send.after",
	"wire.received",

	// The steps of a POP3 session: not yet sent, sent and not answered, answered. A
	// part of a body is what one read gave.
	"pop3.connect.before",
	"pop3.connect.after",
	"pop3.greeting.after",
	"pop3.signin.after",
	"pop3.list.before",
	"pop3.list.after",
	"pop3.retr.before",
	"pop3.retr.sent",
	"pop3.body.part",
	"pop3.body.end",
	"pop3.dele.before",
	"pop3.dele.sent",
	"pop3.dele.after",
	"pop3.quit.before",
	"pop3.quit.sent",
	"pop3.quit.after",

	// The steps of an IMAP session, likewise.
	"imap.connect.before",
	"imap.connect.after",
	"imap.greeting.after",
	"imap.signin.after",
	"imap.select.before",
	"imap.select.sent",
	"imap.select.after",
	"imap.search.before",
	"imap.search.sent",
	"imap.search.after",
	"imap.fetch.before",
	"imap.fetch.sent",
	"imap.body.part",
	"imap.fetch.after",
	"imap.store.before",
	"imap.store.sent",
	"imap.store.after",
	"imap.move.before",
	"imap.move.sent",
	"imap.move.after",
	"imap.copy.before",
	"imap.copy.sent",
	"imap.copy.after",
	"imap.expunge.before",
	"imap.expunge.sent",
	"imap.expunge.after",
	"imap.logout.before",
	"imap.logout.sent",
	"imap.logout.after",

	// Mails in the hands of the spool: not yet, and durable but not yet known to the
	// poll.
	"take.before",
	"take.after",

	// A mail whose routes are decided and not recorded, and recorded.
	"route.before",
	"route.after",

	// A mail in the hands of its sink: claimed for it, not yet, and accepted but not
	// recorded.
	"deliver.claimed",
	"deliver.before",
	"deliver.after",

	// The outcome of a delivery: known and not in the hands of the spool, and
	// durable.
	"record.before",
	"record.after",

	// Settlements in the hands of the server: not yet, confirmed but not recorded,
	// and recorded.
	"settle.before",
	"settle.after",
	"settle.recorded",

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

	// The steps of an SMTP session: a command that the server has and has not
	// answered, and the answer read. A part of the data is what one read of the mail
	// gave.
	"smtp.connect.before",
	"smtp.connect.after",
	"smtp.greeting.after",
	"smtp.hello.sent",
	"smtp.hello.after",
	"smtp.starttls.sent",
	"smtp.starttls.after",
	"smtp.auth.sent",
	"smtp.auth.after",
	"smtp.mail.sent",
	"smtp.mail.after",
	"smtp.rcpt.sent",
	"smtp.rcpt.after",
	"smtp.data.sent",
	"smtp.data.after",
	"smtp.data.part",
	"smtp.end.sent",
	"smtp.end.after",
	"smtp.rset.sent",
	"smtp.rset.after",

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
