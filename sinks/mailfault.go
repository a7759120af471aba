package sinks

import "errors"

// MailTries is how many answers marked by MailFault a delivery gets before it
// becomes a dead letter.
const MailTries = 3

type mailFault struct{ error }

func (e mailFault) Unwrap() error { return e.error }

// MailFault marks err: the destination finds fault with this very mail (a
// webhook's 422, say). Such answers have been known to be a slip of the
// receiver's, so the mail is tried MailTries times, then it is a dead letter.
func MailFault(err error) error { return mailFault{err} }

// IsMailFault reports the mark of MailFault.
func IsMailFault(err error) bool { var m mailFault; return errors.As(err, &m) }
