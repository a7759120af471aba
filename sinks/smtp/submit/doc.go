// Package submit gives mail to one SMTP server: submission (RFC 6409) with
// STARTTLS on port 587 or TLS from the first octet on 465 (RFC 8314), or a relay
// on 25.
//
//	c, err := submit.New(submit.Options{Server: server, TLS: tls, …})
//	report, err := c.Send(ctx, func(o submit.Offers) (*submit.Mail, error) { … })
//
// Send signs in, then asks for the mail, so that it can be made as this server
// takes it: Offers says whether octets above 127 and addresses that are not ASCII
// may be in it, and how large it may be. What it is given goes out with every
// line ended by CRLF, with dots stuffed and without NUL, whatever was in it, so
// that no octet of a mail can end it and begin another.
//
// A mail has been given when the server has answered the end of the data by 250.
// The Report tells that for each recipient: some may have been refused while
// others were accepted. Each failure is an *Error, and Grade says by one table
// (codes.go, and docs/smtp.md for the operator) whether it passes, is the mail's
// or a recipient's, or the fault of this account or server.
//
// A mail may arrive twice where the answer to the end of the data was lost. It
// never does so where there was an answer.
package submit
