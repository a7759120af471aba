package submit

import "io"

// Envelope is what the server is told of a mail beside its octets (RFC 5321
// section 2.3.1).
type Envelope struct {
	// From is the reverse-path, an address without brackets; "" is the null
	// reverse-path, MAIL FROM:<>, of automatic answers (RFC 3834 section 3.3).
	From string
	// To are the forward-paths, addresses without brackets; at least one.
	To []string
	// EightBit says that octets above 127 are in the mail (RFC 6152).
	EightBit bool
	// UTF8 says that an address above, or a header field, is not ASCII (RFC 6531).
	UTF8 bool
}

// Mail is a mail ready to be sent.
type Mail struct {
	Envelope
	// Size is how many octets Open's reader gives.
	Size int64
	// Open gives the mail, header and body, from its beginning. It may be called
	// again, and has to give the same octets: a mail is sent in several transactions
	// where the server takes only so many recipients in one, and once more where a
	// connection that was kept turned out to be dead. The reader is closed.
	Open func() (io.ReadCloser, error)
}

// Offers are what a server takes.
type Offers struct {
	EightBit bool  // 8BITMIME (RFC 6152): a Mail may have EightBit
	UTF8     bool  // SMTPUTF8 (RFC 6531): a Mail may have UTF8
	MaxSize  int64 // SIZE (RFC 1870), in octets; 0: no limit is known
}

// Maker makes the mail for a server. It is called once in each Send, after the
// sign-in. Its error ends Send and is returned as it is. Where the mail needs what
// is not offered, Send refuses it as the server would, without sending it.
type Maker func(Offers) (*Mail, error)

// Report is what became of a mail, recipient by recipient.
type Report struct {
	// Accepted are the recipients the server has taken responsibility for. They are
	// in it when Send fails, too, and are not to be sent the mail again.
	Accepted []string
	// Refused are the others that the server had its say about.
	Refused []Refusal
	// Reply is the last answer to the end of the data; zero where it did not come
	// to that.
	Reply Reply
}

// Refusal is one recipient the mail was not accepted for.
type Refusal struct {
	To  string
	Err *Error
}
