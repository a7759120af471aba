// Package imap takes mail from IMAP servers (RFC 3501, RFC 9051). It implements
// fetcher.Source; its sessions are fetcher.Watcher and fetcher.Describer too.
//
// A session goes: connect (and STARTTLS, which is done here before imapclient
// sees the connection), sign in, and then for each box SELECT or EXAMINE, UID
// SEARCH ALL for what is there, UID FETCH of the metadata of what is new, UID
// FETCH of whole mails with BODY.PEEK[], and whatever settling asks for. Mails
// are named by UID alone; message sequence numbers are never sent, since they
// change under the feet of a client.
//
// The commands are those of emersion/go-imap, but for a few, see aside. Between it and the server stands
// guard, which passes on only what that library can read safely; watch closes the
// connection when the server is silent. Three rules hold everywhere:
//
//   - No flag is set by reading (PEEK), and with Options.ReadOnly nothing at all
//     changes (EXAMINE).
//   - Nothing is expunged but by UID EXPUNGE (RFC 4315) of the mails settled. A
//     plain EXPUNGE or CLOSE would remove what others have marked. Where the
//     server lacks UIDPLUS, mails stay marked \Deleted.
//   - A mail counts as retrieved when exactly one body with its UID came, whole,
//     not empty, and of the size the server announces, or twice the same.
package imap
