// Package compose makes the mails that postferry sends: answers to a mail
// (reply, reply-all, acknowledge), the mail passed on (forward, redirect), a new
// one about it (notify), and wholly new ones (Letter).
//
// A Mail is composed once and written as often as it is tried, each time with the
// same octets on the same Offers: its Message-ID comes from the delivery's id, its
// Date is the event's, and so are the boundaries of its parts. It streams what is
// large from the mail it is about.
//
// Nothing a mail says can become a header field, a recipient or a second mail.
// Every value passes header.add, which lets no control character through; every
// address passes cleanAddress; recipients are told from the shape of what the
// operator wrote, never from a text the mail filled in (addressesOf); every line
// ends in CRLF.
//
// guard.go and limits.go hold back what could feed a loop (RFC 3834, RFC 5230): an
// answer that is not given is Withheld, with the reason.
package compose
