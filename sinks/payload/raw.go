package payload

import (
	"fmt"
	"io"

	"github.com/postferry/postferry/sinks"
)

// rawInMemory is the size up to which a mail is read at once, as the spool does.
const rawInMemory = 256 << 10

// raw is the mail itself, octet for octet as its server held it. A delivery of
// one attachment is the whole mail as well.
type raw struct{}

func (raw) Name() string        { return "raw" }
func (raw) ContentType() string { return "message/rfc822" } // RFC 2046, section 5.2.1

func (raw) Render(d *sinks.Delivery, _ Options) (*Body, error) {
	b, size := newBody("message/rfc822"), d.Octets.Size()
	if size > rawInMemory {
		b.streams = []stream{{size: size, write: func(w io.Writer) error {
			_, err := io.Copy(w, io.NewSectionReader(d.Octets, 0, size))
			return err
		}}}
		return b, nil
	}
	text := append(*b.text, make([]byte, size)...)
	if n, err := d.Octets.ReadAt(text, 0); int64(n) < size {
		b.Release()
		return nil, fmt.Errorf("reading the mail from the store: %w", err)
	}
	*b.text = text
	return b, nil
}
