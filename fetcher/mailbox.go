package fetcher

import (
	"time"

	"github.com/postferry/postferry/spool"
)

// Mailbox is one configured account and the rules for taking from it.
type Mailbox struct {
	Name     string // in the configuration, logs and status
	Protocol string // "imap" or "pop3"
	Account  string // user@host: the mails are known by it, whatever the Name
	Host     string // where it is: connections to one host are made a few at a time
	// SignIn differs when what the account signs in with does. It is stored, so no
	// secret may be told from it. A sign-in that was refused is tried again at once
	// with another SignIn.
	SignIn   string
	Budget   Budget
	Source   Source
	Boxes    []string // POP3 has one, Maildrop; where the session is a Finder, what it makes of them
	Backfill Backfill
	Policy   spool.Policy
	// SettleWait is how long a session stays open after its last mail was taken,
	// for deliveries that let it settle before it ends.
	SettleWait time.Duration
	Schedule   Schedule
	// Limit, when positive, is how many mails one poll takes at the most; the rest
	// stays unknown, so the next poll takes it.
	Limit int
	Idle  bool // keep a session open and poll the moment mail arrives, where the server can
}

// Budget bounds what the mailboxes of one account may cost its server together.
type Budget struct {
	Connections int   // at a time; 0: no bound
	Octets      int64 // of mail retrieved in 24 hours, looked at between batches of mails; 0: no bound
}

// Maildrop is the name of POP3's only box (RFC 1939 calls it the maildrop).
const Maildrop = "INBOX"

// MaxSettleWait bounds Mailbox.SettleWait: an open POP3 session locks the
// maildrop for everybody else (RFC 1939, section 4).
const MaxSettleWait = 10 * time.Second

// Schedule tells when a mailbox is polled next; robfig/cron's schedules are
// ones. A zero time means never again.
type Schedule interface {
	Next(after time.Time) time.Time
}

// Backfill is what the first run takes of the mail that is there already. The
// zero Backfill takes nothing.
type Backfill struct {
	All bool
	Age time.Duration // when positive: what the server received within it
}

// takes reports whether the first run takes a mail received at t. A server that
// tells no time (POP3) leaves only All and nothing to choose from.
func (b Backfill) takes(t, now time.Time) bool {
	if b.All {
		return true
	}
	return b.Age > 0 && !t.IsZero() && !t.Before(now.Add(-b.Age))
}

// Report is what one poll of a mailbox came to.
type Report struct {
	Mailbox    string
	Listed     int  // mails in its boxes
	Fresh      int  // of them not known before
	Taken      int  // of them now durable here
	Baseline   int  // there at the first run and not taken
	Excluded   int  // left by a filter
	Recognised int  // of a renumbered box, known again by their heads
	Elsewhere  int  // of the fresh ones, taken from another box of the account
	Failed     int  // could not be had; tried again by the next poll
	Settled    int  // settlements the server confirmed
	Unsettled  int  // settlements the server declined; tried again by the next poll
	More       bool // the server allowed no more mails in this session
	Paused     bool // nothing was tried: the server wants more time between sign-ins
	Lost       bool // Err ended a session that was waiting
	Err        error
}
