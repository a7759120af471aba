// Package parser turns the octets of a mail into a [Message].
//
// A mail is a header, a blank line and a body (RFC 5322). A body may be made of
// parts with headers of their own, nested in multiparts (RFC 2045, 2046), each
// carried in a transfer encoding and, where it is text, in a charset. Parse
// walks over that structure once, remembers where each part lies, decodes the
// texts, and hashes the attachments without keeping them: their octets stay
// where they are and [Attachment.Open] reads them again when somebody wants
// them.
//
// Much real mail breaks the rules, and some is built to hurt whoever reads it.
// So nothing here refuses a mail: what can be repaired is repaired, what is
// beyond the [Limits] is cut, and each repair and each cut is a [Problem] with
// a stable code. No input makes Parse panic, loop, or grow beyond the limits.
//
// The way through the files: parse.go leads, source.go holds the octets,
// header.go and walk.go split, transfer.go, charset.go and encodedword.go
// decode, address.go, date.go, params.go and msgid.go read one kind of value
// each, body.go tells the text from the attachments, and one file for each
// derived field makes the rest.
package parser
