package parser

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// threadKey names the conversation a mail belongs to: the mail that began it,
// as far as the mail knows. References lists the ancestors, the first being the
// first of all (RFC 5322 section 3.6.4). A mail that names none begins one. One
// without even a Message-ID gets a key from what it says, the same each time.
func threadKey(m *Message) string {
	for _, ids := range [...][]string{m.References, m.InReplyTo, m.MessageID} {
		if len(ids) > 0 {
			return ids[0]
		}
	}
	h := sha256.New()
	for _, f := range m.Headers {
		if n := len(f.Name); n != 2 && n != 4 && n != 7 {
			continue
		}
		switch strings.ToLower(f.Name) {
		case "from", "to", "cc", "date", "subject":
			h.Write([]byte(strings.ToLower(f.Name) + ":" + f.Value + "\n"))
		}
	}
	if m.Text != nil {
		h.Write([]byte(*m.Text))
	}
	return "sha256." + hex.EncodeToString(h.Sum(nil)[:16])
}
