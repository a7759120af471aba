// Package payload turns a mail into what travels: the body a webhook posts, a
// queue carries or a file holds.
//
// A Format renders a delivery into a Body. Rendering is a pure function of the
// delivery, so that every attempt of a delivery sends the same octets: times
// come from the delivery, never from the clock. The formats are
//
//   - native: the JSON event described in docs/payload.md,
//   - raw: the mail itself, octet for octet (message/rfc822).
//
// A Body holds small things in memory and reads large ones (an attachment of
// more than LazyFrom octets, a mail kept in a file) from their source while it
// is being sent, so that a 100 MB mail costs no 100 MB of memory.
package payload

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postferry/postferry/sinks"
)

// Format is one way to put a mail into octets.
type Format interface {
	// Name is the format's name in the configuration.
	Name() string
	// ContentType is the media type of what Render makes.
	ContentType() string
	// Render makes the body. It fails only when the mail's octets cannot be read;
	// whatever the mail says, the body is well-formed. The body must be released.
	Render(d *sinks.Delivery, o Options) (*Body, error)
}

// Attachments says what becomes of the contents of attachments; their
// descriptions are in the body under every mode but None.
type Attachments string

// The modes.
const (
	Auto     Attachments = "auto"     // inline as long as they fit InlineLimit in all, in order; the rest is omitted, with the reason
	Inline   Attachments = "inline"   // all of them
	Metadata Attachments = "metadata" // none; each is described
	None     Attachments = "none"     // none, and the list is empty
)

// DefaultInlineLimit is how many octets of attachments, decoded, Auto puts into
// one body: 1 MiB.
const DefaultInlineLimit = 1 << 20

// Options are what a sink may choose for its format. The zero Options are the
// defaults.
type Options struct {
	Attachments Attachments // "" is Auto
	InlineLimit int64       // for Auto; 0 is DefaultInlineLimit
}

// Validate refuses an unknown mode.
func (o Options) Validate() error {
	switch o.Attachments {
	case "", Auto, Inline, Metadata, None:
		return nil
	}
	return fmt.Errorf("attachments %q is not %s, %s, %s or %s", o.Attachments, Auto, Inline, Metadata, None)
}

// formats are all there are, by name.
var formats = []Format{native{}, raw{}}

// Formats are the names Lookup knows.
func Formats() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.Name()
	}
	return names
}

// Lookup finds a format by its name; "" is native.
func Lookup(name string) (Format, error) {
	if name == "" {
		name = "native"
	}
	i := slices.IndexFunc(formats, func(f Format) bool { return f.Name() == name })
	if i < 0 {
		return nil, fmt.Errorf("format %q is not one of %s", name, strings.Join(Formats(), ", "))
	}
	return formats[i], nil
}

// Renderer is a format with its options: what a sink is configured with. The
// zero Renderer is native with the default options.
type Renderer struct {
	Format  Format
	Options Options
}

// NewRenderer looks the format up and checks the options.
func NewRenderer(format string, o Options) (Renderer, error) {
	f, err := Lookup(format)
	if err != nil {
		return Renderer{}, err
	}
	return Renderer{f, o}, o.Validate()
}

// Render makes the body of one delivery.
func (r Renderer) Render(d *sinks.Delivery) (*Body, error) {
	return r.format().Render(d, r.Options)
}

// ContentType is the media type of what Render makes.
func (r Renderer) ContentType() string { return r.format().ContentType() }

func (r Renderer) format() Format {
	if r.Format == nil {
		return native{}
	}
	return r.Format
}
