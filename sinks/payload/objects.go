package payload

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postferry/postferry/blob"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// Objects makes of a delivery what a blob.Store keeps: the body, or an attachment
// by itself, with its description beside it if that is wanted.
type Objects struct {
	Render  Renderer
	Key     *Text // nil: the delivery's id, with the attachment's name
	Each    bool  // attachment, instead of message
	Sidecar bool  // beside each attachment the native event, without contents, under its key and .json
}

// Validate refuses what has no effect: an attachment by itself is what it is, and
// its description is the native event. key is the one to take out.
func (o *Objects) Validate() (key string, err error) {
	if !o.Each {
		return "", nil
	}
	if _, own := o.Render.format().(*native); !own {
		return "format", errors.New("with each: attachment the octets of each are written as they are: take format out")
	}
	if a := o.Render.Options.Attachments; a != "" && a != Auto {
		return "attachments", errors.New("with each: attachment it has no effect: take it out (attachments_only chooses among them)")
	}
	return "", nil
}

// Of are the objects of one delivery, in the order they are to be put; none for a
// mail without attachments where each is wanted. release is called when they have
// been put. An error marked permanent is the mail's.
func (o *Objects) Of(d *sinks.Delivery) (list []blob.Object, release func(), err error) {
	release = func() {}
	if o.Each && d.Part == "" {
		return nil, release, nil
	}
	key, err := o.key(d)
	if err != nil {
		return nil, release, sinks.Permanent(fmt.Errorf("making the key of this mail: %w", err))
	}
	if !o.Each {
		body, err := o.Render.Render(d)
		if err != nil {
			return nil, release, err
		}
		return []blob.Object{bodyObject(key, body)}, body.Release, nil
	}
	a := attachmentOf(d)
	if a == nil {
		return nil, release, sinks.Permanent(fmt.Errorf("the mail has no attachment %q", d.Part))
	}
	list = []blob.Object{{Key: key, Size: a.Size, ContentType: a.Type, Open: a.Open}}
	if !o.Sidecar {
		return list, release, nil
	}
	body, err := (Renderer{Options: Options{Attachments: Metadata}}).Render(d)
	if err != nil {
		return nil, release, err
	}
	return append(list, bodyObject(key+".json", body)), body.Release, nil
}

func bodyObject(key string, body *Body) blob.Object {
	return blob.Object{Key: key, Size: body.Size(), ContentType: body.ContentType, Open: func() (io.ReadCloser, error) { return body.Open(), nil }}
}

func attachmentOf(d *sinks.Delivery) *parser.Attachment {
	for i := range d.Message.Attachments {
		if a := &d.Message.Attachments[i]; a.PartID == d.Part {
			return a
		}
	}
	return nil
}

// longestName keeps the names of files below the 255 octets most file systems
// allow.
const longestName = 160

func (o *Objects) key(d *sinks.Delivery) (string, error) {
	if o.Key != nil {
		return keyOf(o.Key, d)
	}
	if d.ID == "" || strings.Trim(d.ID, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return "", fmt.Errorf("delivery id %q cannot be a file name", d.ID)
	}
	if !o.Each {
		return d.ID + o.extension(), nil
	}
	a := attachmentOf(d)
	if a == nil || a.SafeName == "" {
		return d.ID, nil
	}
	// The end of a long name is kept, where the extension is.
	name := blob.Segment(a.SafeName)
	for len(name) > longestName {
		name = name[1:]
	}
	return d.ID + "-" + strings.ToValidUTF8(name, ""), nil
}

// keyOf fills a key template; what a mail says stays within its segment, and a
// segment of which it says nothing is _.
func keyOf(t *Text, d *sinks.Delivery) (string, error) {
	key, err := t.Fill(d, blob.Segment)
	if err != nil {
		return "", err
	}
	segments := strings.Split(key, "/")
	for i, s := range segments {
		if s == "" {
			segments[i] = "_"
		}
	}
	key = strings.Join(segments, "/")
	if err := blob.CheckKey(key); err != nil {
		return "", fmt.Errorf("%w; cut what may be long: {{ truncateBytes(message.subject, 80) }}", err)
	}
	return key, nil
}

// CompileKey compiles a key template. It has to name something of the mail, or
// every mail would have the same key.
func CompileKey(source string) (*Text, error) {
	t, err := CompileText(source)
	if err != nil {
		return nil, err
	}
	if t.Fixed() {
		return nil, errors.New("key has no hole, so that every mail would take the place of the one before; write {{ id }} into it, or {{ attachment.sha256 }}")
	}
	if err := blob.CheckKey(t.With(func(int) string { return "x" })); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return t, nil
}

func (o *Objects) extension() string {
	switch {
	case o.Render.IsJSON():
		return ".json"
	case o.Render.ContentType() == "message/rfc822":
		return ".eml"
	}
	return ".body"
}
