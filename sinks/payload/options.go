package payload

import (
	"errors"
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
	// Multipart is the native event as a form: the event in one field, each
	// attachment a file beside it.
	Multipart Attachments = "multipart"
	// Store is none, and where each is kept: Options.Link.
	Store Attachments = "store"
)

// DefaultInlineLimit is how many octets of attachments, decoded, Auto puts into
// one body: 1 MiB.
const DefaultInlineLimit = 1 << 20

// Options are what a sink may choose for its format, whichever that is. The zero
// Options are the defaults.
type Options struct {
	Attachments Attachments // "" is Auto
	InlineLimit int64       // for Auto; 0 is DefaultInlineLimit
	// Link is where an attachment can be had that is not in the body; "" where it
	// cannot. It must give the same on every attempt. nil: nowhere.
	Link func(d *sinks.Delivery, a *parser.Attachment) string
	Only *Filter   // nil: every attachment
	At   time.Time // of the attempt; nothing but what a vendor's signature covers depends on it
}

// Validate refuses an unknown mode.
func (o Options) Validate() error {
	switch o.Attachments {
	case "", Auto, Inline, Metadata, None, Multipart:
		return nil
	case Store:
		if o.Link == nil {
			return errors.New("attachments: store needs to know where: set attachments_to")
		}
		return nil
	}
	return fmt.Errorf("attachments %q is not %s, %s, %s, %s, %s or %s", o.Attachments, Auto, Inline, Metadata, None, Multipart, Store)
}

// placed is an attachment that a body names.
type placed struct {
	*parser.Attachment
	omitted string // why its octets are not in the body; "" when they are
	url     string // where they can be had then; "" where they cannot
	field   string // of the form they are a file of, under Multipart
}

// place goes through the attachments that a body names, in order, and says what
// becomes of each: none under None, and the one alone that the delivery is of
// where each goes by itself. With whole, for formats without a place for the reason
// why something is not there, Auto is Inline, and what Only leaves out is not named.
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
			if whole && !o.Only.Takes(a.Attachment) {
				continue
			}
			switch {
			case !o.Only.Takes(a.Attachment):
				a.omitted = "left out by attachments_only of the sink"
			case o.Attachments == Multipart:
				a.field = "attachment." + a.PartID
			case o.Attachments == Store:
				a.omitted = "stored by itself"
			case o.Attachments == Metadata:
				a.omitted = "attachments are sent as metadata"
			case o.Attachments == Inline || whole:
			case a.Size > left:
				a.omitted = "too large to be sent inline"
			default:
				left -= a.Size
			}
			if a.omitted != "" && o.Link != nil && o.Only.Takes(a.Attachment) {
				a.url = o.Link(d, a.Attachment)
			}
			if !yield(a) {
				return
			}
		}
	}
}

// linkOf is where an attachment can be had, by its partId.
func (o Options) linkOf(d *sinks.Delivery) func(part string) string {
	if o.Link == nil {
		return nil
	}
	return func(part string) string {
		own := *d
		own.Part = part
		if a := attachmentOf(&own); a != nil && o.Only.Takes(a) {
			return o.Link(d, a)
		}
		return ""
	}
}
