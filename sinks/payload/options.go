package payload

import (
	"fmt"
	"iter"
	"time"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// Attachments says what becomes of the contents of attachments; their
// descriptions are in the body under every mode but None.
type Attachments string

// The modes.
const (
	// Auto is Inline in the formats of docs/formats that say so, which have no
	// place for the reason why something is not there. In the others it is inline
	// as long as they fit InlineLimit in all, in order; the rest is omitted, with
	// the reason.
	Auto     Attachments = "auto"
	Inline   Attachments = "inline"   // all of them
	Metadata Attachments = "metadata" // none; each is described
	None     Attachments = "none"     // none, and the list is empty
)

// DefaultInlineLimit is how many octets of attachments, decoded, Auto puts into
// one body: 1 MiB.
const DefaultInlineLimit = 1 << 20

// Options are what a sink may choose for its format, whichever that is. The zero
// Options are the defaults.
type Options struct {
	Attachments Attachments // "" is Auto
	InlineLimit int64       // for Auto; 0 is DefaultInlineLimit
	At          time.Time   // of the attempt; nothing but what a vendor's signature covers depends on it
}

// Validate refuses an unknown mode.
func (o Options) Validate() error {
	switch o.Attachments {
	case "", Auto, Inline, Metadata, None:
		return nil
	}
	return fmt.Errorf("attachments %q is not %s, %s, %s or %s", o.Attachments, Auto, Inline, Metadata, None)
}

// placed is an attachment that a body names.
type placed struct {
	*parser.Attachment
	omitted string // why its octets are not in the body; "" when they are
}

// place goes through the attachments that a body names, in order, and says what
// becomes of each: none under None, and the one alone that the delivery is of
// where each goes by itself. With whole, Auto is Inline.
func (o Options) place(d *sinks.Delivery, whole bool) iter.Seq[placed] {
	return func(yield func(placed) bool) {
		if o.Attachments == None {
			return
		}
		left := o.InlineLimit
		if left == 0 {
			left = DefaultInlineLimit
		}
		for i := range d.Message.Attachments {
			a := placed{Attachment: &d.Message.Attachments[i]}
			if d.Part != "" && a.PartID != d.Part {
				continue
			}
			switch {
			case o.Attachments == Metadata:
				a.omitted = "attachments are sent as metadata"
			case o.Attachments == Inline || whole:
			case a.Size > left:
				a.omitted = "too large to be sent inline"
			default:
				left -= a.Size
			}
			if !yield(a) {
				return
			}
		}
	}
}
