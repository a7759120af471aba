// Package payload turns a mail into what travels: the body a webhook posts, a
// queue carries or a file holds.
//
// A Format renders a delivery into a Body. Rendering is a pure function of the
// delivery and of what the sink sets, so that every attempt of a delivery sends
// the same octets: times come from the delivery, never from the clock. Only what
// a vendor's signature covers is made anew, from Options.At. The formats are
//
//   - native: the JSON event described in docs/payload.md,
//   - raw: the mail itself, octet for octet (message/rfc822),
//   - those of docs/formats, after which receivers exist already.
//
// A Body holds small things in memory and reads large ones (an attachment of
// more than LazyFrom octets, a mail kept in a file) from their source while it
// is being sent, so that a 100 MB mail costs no 100 MB of memory. Its size is
// always known before it is sent: many receivers refuse bodies without one.
//
// # A new format
//
// A format is one file with a struct that implements Format, one line in formats,
// goldens and a page in docs/formats. What a sink sets for it are fields of the
// struct with the tags of package config (config, enum, doc; a secret.Secret for
// secrets), which stand in the sink's section beside the keys of its kind, so
// they must not be called like one of those; the struct may have SetDefaults and
// Validate as well, and Validate may prepare what Render uses. The reference, the
// schema and the commands take them from there.
//
// Render makes a Body of the right Content-Type, with Header where the format has
// fields of its own in requests. It asks Options.place which attachments are in
// the body and what becomes of each, writes small things to the body's text and
// large ones with Body.put, which leaves them in their source. A Format may also
// be a Stopper, whose statuses end a delivery, or a Checker, which does not go
// with all Options.
package payload

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/sinks"
)

// Format is one way to put a mail into octets, with what a sink sets for it. It
// is a pointer to a struct; see the package comment.
type Format interface {
	// Name is the format's name in the configuration.
	Name() string
	// ContentType is the media type of what Render makes, without the parameters
	// that only a body has.
	ContentType() string
	// Render makes the body. It fails only when the mail's octets cannot be read;
	// whatever the mail says, the body is well-formed. The body must be released.
	Render(d *sinks.Delivery, o Options) (*Body, error)
}

// Stopper is a Format whose vendor tells receivers that a status ends a delivery:
// no other attempt follows, the mail is a dead letter.
type Stopper interface {
	Stops(status int) bool
}

// Checker is a Format that does not go with all Options. The error names the key
// and what to change.
type Checker interface {
	CheckOptions(o Options) error
}

// Signer is a Format that signs with a key of the sink's.
type Signer interface {
	// UseTestKey signs with TestKey, where nobody has set a key.
	UseTestKey()
}

// TestKey is what `postferry parse` signs with.
const TestKey = "postferry-test-key"

// formats make a Format with nothing set, by its name; a new one is one line.
var formats = []func() Format{
	func() Format { return &native{} },
	func() Format { return &raw{} },
	func() Format { return &cloudEvents{} },
	func() Format { return &template{} },
	func() Format { return &postmark{} },
	func() Format { return &mailgun{} },
	func() Format { return &sendGrid{} },
	func() Format { return &cloudMailin{} },
	func() Format { return &rails{} },
}

// Formats are the names Lookup knows.
func Formats() []string {
	names := make([]string, len(formats))
	for i, make := range formats {
		names[i] = make().Name()
	}
	return names
}

// Settings is a Format with nothing set under each name, to look its keys up in.
func Settings() map[string]any {
	all := map[string]any{}
	for _, make := range formats {
		all[make().Name()] = make()
	}
	return all
}

// Lookup makes a format by its name, with nothing set; "" is native.
func Lookup(name string) (Format, error) {
	if name == "" {
		name = "native"
	}
	i := slices.Index(Formats(), name)
	if i < 0 {
		return nil, fmt.Errorf("format %q is not one of %s", name, strings.Join(Formats(), ", "))
	}
	f := formats[i]()
	if d, ok := f.(interface{ SetDefaults() }); ok {
		d.SetDefaults()
	}
	return f, nil
}

// Renderer is a format with its options: what a sink is configured with. The
// zero Renderer is native with the default options.
type Renderer struct {
	Format  Format
	Options Options
	Clock   clock.Clock // of Options.At; nil is clock.System
}

// NewRenderer looks the format up, with nothing set, and checks the options.
func NewRenderer(format string, o Options) (Renderer, error) {
	f, err := Lookup(format)
	if err != nil {
		return Renderer{}, err
	}
	r := Renderer{Format: f, Options: o}
	return r, r.Validate()
}

// Validate refuses options that are unknown or that the format cannot have.
func (r Renderer) Validate() error {
	if err := r.Options.Validate(); err != nil {
		return err
	}
	if _, native := r.format().(*native); r.Options.Attachments == Multipart && !native {
		return errors.New("attachments: multipart goes with format: native; other formats have forms of their own (a template: as: multipart)")
	}
	if c, ok := r.Format.(Checker); ok {
		return c.CheckOptions(r.Options)
	}
	return nil
}

// Render makes the body of one attempt of a delivery.
func (r Renderer) Render(d *sinks.Delivery) (*Body, error) {
	o := r.Options
	if o.At.IsZero() {
		o.At = r.clock().Now()
	}
	return r.format().Render(d, o)
}

// ContentType is the media type of what Render makes, without the parameters
// that only a body has.
func (r Renderer) ContentType() string {
	if _, native := r.format().(*native); native && r.Options.Attachments == Multipart {
		return multipartForm
	}
	return r.format().ContentType()
}

// NeedsHeader reports that a body says less without its Header, so that the format
// is not for files.
func (r Renderer) NeedsHeader() bool {
	h, ok := r.format().(interface{ NeedsHeader() bool })
	return ok && h.NeedsHeader()
}

// IsJSON reports that a body is one JSON document.
func (r Renderer) IsJSON() bool { return isJSON(r.ContentType()) }

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return media == "application/json" || strings.HasSuffix(media, "+json") // RFC 6839, section 3.1
}

// Stops reports that an answer of this status ends the delivery, as receivers of
// the format expect. All other statuses are for the sink to judge.
func (r Renderer) Stops(status int) bool {
	s, ok := r.format().(Stopper)
	return ok && s.Stops(status)
}

func (r Renderer) format() Format {
	if r.Format == nil {
		return &native{}
	}
	return r.Format
}

func (r Renderer) clock() clock.Clock {
	if r.Clock == nil {
		return clock.System{}
	}
	return r.Clock
}
