package payload

import (
	"encoding/base64"

	"github.com/postferry/postferry/parser"
)

// LazyFrom is the size of an attachment, decoded, from which its base64 text is
// made while the body is sent instead of being held in memory: 1 MiB.
const LazyFrom = 1 << 20

// appendContent appends the attachment's octets as a JSON string in base64 with
// padding (RFC 4648, section 4), or notes where they belong.
func (b *Body) appendContent(a *parser.Attachment) error {
	text := append(*b.text, '"')
	defer func() { *b.text = append(*b.text, '"') }()
	*b.text = text
	if a.Size >= LazyFrom {
		b.streams = append(b.streams, stream{
			at:    len(text),
			size:  int64(base64.StdEncoding.EncodedLen(int(a.Size))),
			write: a.WriteBase64,
		})
		return nil
	}
	return a.WriteBase64((*appender)(b.text))
}

// appender is an io.Writer at the end of a slice.
type appender []byte

func (a *appender) Write(p []byte) (int, error) { *a = append(*a, p...); return len(p), nil }

func (a *appender) WriteString(s string) (int, error) { *a = append(*a, s...); return len(s), nil }
