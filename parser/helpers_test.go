package parser

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
)

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// checkBase64 compares what WriteBase64 writes with the octets Open reads.
func (a *Attachment) checkBase64(octets []byte) error {
	var b bytes.Buffer
	if err := a.WriteBase64(&b); err != nil {
		return err
	}
	if want := base64.StdEncoding.EncodeToString(octets); b.String() != want {
		return fmt.Errorf("base64 of %d octets, want %d, and not the same", b.Len(), len(want))
	}
	return nil
}

func newField(name, value string) field {
	return field{name: name, value: value, key: nameKey(name)}
}

// mail makes a mail of lines: each gets its CRLF.
func mail(lines ...string) []byte {
	return []byte(strings.Join(lines, "\r\n") + "\r\n")
}

// read parses a mail made of lines.
func read(t testing.TB, lines ...string) *Message {
	t.Helper()
	m := parseOctets(t, mail(lines...), Limits{})
	checkMessage(t, m)
	return m
}

// str shows a string that may be nil.
func str(s *string) string {
	if s == nil {
		return "<nil>"
	}
	return *s
}

// codes lists the codes of a message's problems, each once.
func codes(m *Message) string {
	var out []string
	seen := map[string]bool{}
	for _, q := range m.Problems {
		if !seen[q.Code] {
			seen[q.Code] = true
			out = append(out, q.Code)
		}
	}
	return strings.Join(out, " ")
}

// decoderOf decodes a transfer encoding with the standard library.
func decoderOf(name string, r io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	}
	return r
}
