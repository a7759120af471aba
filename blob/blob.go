// Package blob keeps octets under keys: attachments and mails for others to pick
// up, in a directory or in a bucket of an S3-compatible store.
//
// A key is a relative path of segments with slashes between. Whoever makes one of
// what a mail says puts it through Segment, so that no mail chooses where its
// octets go. Putting the same again changes nothing, and no octets are read back:
// a store is asked at most whether it has an object.
package blob

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Store is one place for octets. It is safe for concurrent use.
type Store interface {
	// Put keeps the object under its key, durably when it returns nil. What was
	// there under the key is replaced as a whole, never in part.
	Put(ctx context.Context, o Object) error
	// Has reports that an object of that size is under the key, as durable as Put
	// leaves it. It looks at no octets, so it says enough only of keys that are made
	// of them, as a sha256 is. The error is that it cannot be told.
	Has(ctx context.Context, key string, size int64) (bool, error)
	// Check tells whether objects could be put, without leaving one behind.
	Check(ctx context.Context) error
	// Address names the object under a key, for people and programs that have
	// access of their own: file:///…, s3://bucket/….
	Address(key string) string
	// Close releases what the store holds open.
	Close() error
}

// Object is what is kept.
type Object struct {
	Key         string
	Size        int64 // in octets, exact
	ContentType string
	// Open reads the octets from their beginning; it may be called again, and gives
	// the same.
	Open func() (io.ReadCloser, error)
}

// LongestKey is what stores take, in octets (S3's limit is 1,024).
const LongestKey = 900

// CheckKey refuses keys that are no path below the store.
func CheckKey(key string) error {
	if key == "" || len(key) > LongestKey || !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) || strings.Contains(key, `\`) {
		return fmt.Errorf("%.60q is no key: up to %d octets of text, with / between segments", key, LongestKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." || len(segment) > longestSegment {
			return fmt.Errorf("%.60q is no key: a segment is empty, a dot, two dots, or has more than %d octets", key, longestSegment)
		}
	}
	return nil
}

// longestSegment leaves room for what a temporary name adds in the 255 octets most
// file systems allow.
const longestSegment = 240

// Segment makes of any text what may stand in one segment of a key: slashes,
// backslashes and control characters become _, as do dots at the beginning, and
// it has at most 200 octets.
func Segment(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(s, "_"))
	if strings.HasPrefix(s, ".") {
		s = "_" + s[1:]
	}
	for len(s) > most {
		_, last := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-last]
	}
	return s
}
