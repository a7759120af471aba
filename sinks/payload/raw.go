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

// CheckOptions implements Checker.
func (raw) CheckOptions(o Options) error { return sendsAll("format raw", o) }

func (raw) Render(d *sinks.Delivery, _ Options) (*Body, error) {
	b := newBody("message/rfc822")
	if err := b.putMail(d); err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

// putMail puts the mail's octets.
func (b *Body) putMail(d *sinks.Delivery) error {
	size := d.Octets.Size()
	if size > rawInMemory {
		b.streams = append(b.streams, stream{at: len(*b.text), size: size, write: func(w io.Writer) error {
			_, err := io.Copy(w, io.NewSectionReader(d.Octets, 0, size))
			return err
		}})
		return nil
	}
	before := len(*b.text)
	text := append(*b.text, make([]byte, size)...)
	if n, err := d.Octets.ReadAt(text[before:], 0); int64(n) < size {
		return fmt.Errorf("reading the mail from the store: %w", err)
	}
	*b.text = text
	return nil
}
