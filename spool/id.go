package spool

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash"
	"strings"
)

var idEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// DeliveryID is the id of one delivery: "msg_" and the first 20 octets, in
// lower-case base32 (RFC 4648, section 6) without padding, of a SHA-256 over
// the account, the SHA-256 of the mail's octets, the number of mails with these
// octets the account had before it, the sink's name and the part. Each field is
// preceded by its length as eight octets, big-endian, so no two lists of fields
// give the same input. The form is fixed: receivers keep these ids for ever.
func DeliveryID(account string, octets [32]byte, ordinal int, to To) string {
	h := sha256.New()
	field(h, []byte(account))
	field(h, octets[:])
	field(h, binary.BigEndian.AppendUint64(nil, uint64(ordinal)))
	field(h, []byte(to.Sink))
	field(h, []byte(to.Part))
	return "msg_" + strings.ToLower(idEncoding.EncodeToString(h.Sum(nil)[:20]))
}

func field(h hash.Hash, b []byte) {
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
	h.Write(b)
}
