package payload

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"time"
	"unicode/utf8"
)

// hexDigits are those of \u00XX.
const hexDigits = "0123456789abcdef"

// plain tells the octets that stand for themselves within a JSON string
// (RFC 8259, section 7): printable US-ASCII and DEL, without " and \.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendString appends s as a JSON string. Whatever s holds, the result is valid
// JSON in valid UTF-8: control characters are escaped and each octet that is not
// part of UTF-8 becomes U+FFFD, as encoding/json does. "<", ">" and "&" stay as
// they are: the body is never a part of HTML.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for len(s) > 0 {
		n := plainPrefix(s)
		b = append(b, s[:n]...)
		s = s[n:]
		if len(s) == 0 {
			break
		}
		if c := s[0]; c < utf8.RuneSelf {
			b, s = appendEscaped(b, c), s[1:]
			continue
		}
		b, s = appendRunes(b, s)
	}
	return append(b, '"')
}

// plainPrefix is the length of the longest prefix of s that needs no change,
// looked at eight octets at a time.
func plainPrefix(s string) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64([]byte(s[i : i+8]))
		quote := w ^ ones*'"'
		slash := w ^ ones*'\\'
		// A high bit is set below for each octet that is ≥ 0x80, < 0x20, " or \
		// (and perhaps for one above such an octet, never for the first below it).
		odd := w | (w - ones*0x20) | (quote - ones) | (slash - ones)
		if odd &= highs; odd != 0 {
			return i + bits.TrailingZeros64(odd)/8
		}
	}
	for i < len(s) && plain[s[i]] {
		i++
	}
	return i
}

// appendEscaped appends one US-ASCII character that may not stand for itself.
func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}

// appendRunes appends the characters beyond US-ASCII that s begins with, and
// returns the rest of s.
func appendRunes(b []byte, s string) ([]byte, string) {
	n := 0
	for n < len(s) && s[n] >= utf8.RuneSelf {
		r, size := utf8.DecodeRuneInString(s[n:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[:n]...)
			return append(b, "\uFFFD"...), s[n+1:]
		}
		n += size
	}
	return append(b, s[:n]...), s[n:]
}

// The following append one member of an object, after its name and colon.

func appendStringOrNull(b []byte, s *string) []byte {
	if s == nil {
		return append(b, "null"...)
	}
	return appendString(b, *s)
}

// appendStrings appends an array of strings; nil is null if orNull, else [].
func appendStrings(b []byte, list []string, orNull bool) []byte {
	if list == nil && orNull {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

func appendBool(b []byte, v bool) []byte { return strconv.AppendBool(b, v) }

func appendUint32OrNull(b []byte, n *uint32) []byte {
	if n == nil {
		return append(b, "null"...)
	}
	return strconv.AppendUint(b, uint64(*n), 10)
}

// appendUTC appends t as JMAP's UTCDate (RFC 8620, section 1.4): in UTC, with Z,
// in whole seconds.
func appendUTC(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, "2006-01-02T15:04:05Z")
	return append(b, '"')
}
