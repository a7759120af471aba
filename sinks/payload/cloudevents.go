package payload

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postferry/postferry/sinks"
)

// The modes of CloudEvents over HTTP (HTTP protocol binding 1.0.2, section 3).
const (
	structured = "structured"
	binaryMode = "binary"
)

// cloudEvents is the native event as a CloudEvent 1.0, described in
// docs/formats/cloudevents.md.
type cloudEvents struct {
	Mode string `config:"mode" enum:"structured,binary" doc:"structured: the event's attributes and its data in one JSON object; binary: the attributes in header fields (ce-id …), the data as the body"`
}

func (c *cloudEvents) SetDefaults() { c.Mode = structured }

func (*cloudEvents) Name() string { return "cloudevents" }

// ContentType is the media type of the JSON event format in structured mode (JSON
// event format 1.0.2, section 3), that of the data in binary mode.
func (c *cloudEvents) ContentType() string {
	if c.Mode == binaryMode {
		return "application/json"
	}
	return "application/cloudevents+json"
}

func (c *cloudEvents) NeedsHeader() bool { return c.Mode == binaryMode }

func (c *cloudEvents) Render(d *sinks.Delivery, o Options) (*Body, error) {
	b := newBody(c.ContentType())
	t := *b.text
	// CloudEvents 1.0.2, section 3.1: source is a URI-reference, and source and id
	// together name the event.
	source := "/mailboxes/" + url.PathEscape(strings.ToValidUTF8(d.Origin.Name, "\uFFFD"))
	if c.Mode == binaryMode {
		b.Header = http.Header{
			"Ce-Specversion": {"1.0"}, "Ce-Id": {attribute(d.ID)}, "Ce-Source": {attribute(source)},
			"Ce-Type": {EventType}, "Ce-Time": {d.Timestamp.UTC().Format(time.RFC3339)},
		}
	} else {
		b.ContentType += "; charset=utf-8"
		t = appendString(append(t, `{"specversion":"1.0","id":`...), d.ID)
		t = appendString(append(t, `,"source":`...), source)
		t = append(t, `,"type":"`+EventType+`","time":`...)
		t = appendUTC(t, d.Timestamp)
		t = append(t, `,"datacontenttype":"application/json","data":`...)
	}
	t = appendOrigin(append(t, `{"mailbox":`...), &d.Origin)
	*b.text = append(t, `,"message":`...)
	if err := b.appendMessage(d, o); err != nil {
		b.Release()
		return nil, err
	}
	*b.text = append(*b.text, '}')
	if c.Mode != binaryMode {
		*b.text = append(*b.text, '}')
	}
	return b, nil
}

// attribute writes an attribute's value as the value of a header field: what is
// not printable US-ASCII, space, " and % are percent-encoded (HTTP protocol
// binding 1.0.2, section 3.1.3.2).
func attribute(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > ' ' && r < 0x7f && r != '"' && r != '%' {
			b.WriteRune(r)
			continue
		}
		for _, c := range utf8.AppendRune(nil, r) {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
