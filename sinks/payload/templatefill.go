package payload

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// filling makes one body of a template.
type filling struct {
	scene    *scene
	delivery *sinks.Delivery
	options  Options
	body     *Body
	placed   placed // the attachment at hand

	boundary string // of a multipart form
	begun    bool   // a form has a field already
}

func (x *filling) render(t *template) error {
	switch t.As {
	case asText:
		text, err := x.string(t.tree)
		x.append(strings.ToValidUTF8(text, "\uFFFD"))
		return err
	case asForm, asMultipart:
		if t.As == asMultipart {
			x.boundary = boundaryOf(x.delivery)
			x.body.ContentType = "multipart/form-data; boundary=" + x.boundary
		}
		for _, f := range t.tree.fields {
			if err := x.formField(f.name, f.node); err != nil {
				return err
			}
		}
		if t.As == asMultipart {
			x.append("--" + x.boundary + "--\r\n")
		}
		return nil
	}
	return x.json(t.tree)
}

func (x *filling) append(s string) { *x.body.text = append(*x.body.text, s...) }

// json appends a node as JSON.
func (x *filling) json(n *node) (err error) {
	switch n.kind {
	case isText:
		var v any
		if hole, whole := n.text.value(); whole {
			v, err = hole.Eval(x.scene)
		} else {
			v, err = n.text.fill(x.scene, nil)
		}
		if err == nil {
			*x.body.text, err = appendValue(*x.body.text, v)
		}
	case isFixed:
		*x.body.text, err = appendValue(*x.body.text, n.fixed)
	case isContent:
		return x.jsonContent(n)
	case isList:
		x.append("[")
		for i, child := range n.list {
			if i > 0 {
				x.append(",")
			}
			if err := x.json(child); err != nil {
				return err
			}
		}
		x.append("]")
	case isObject:
		x.append("{")
		for i, f := range n.fields {
			if i > 0 {
				x.append(",")
			}
			*x.body.text = append(appendString(*x.body.text, f.name), ':')
			if err := x.json(f.node); err != nil {
				return err
			}
		}
		x.append("}")
	case isEach:
		x.append("[")
		first := true
		err := x.each(func() error {
			if !first {
				x.append(",")
			}
			first = false
			return x.json(n.each)
		})
		x.append("]")
		return err
	}
	if err != nil {
		return unfilled(n.path, err)
	}
	return nil
}

// each goes through the attachments the body names.
func (x *filling) each(do func() error) error {
	scene := *x.scene
	defer func() { x.scene, x.placed = &scene, placed{} }()
	for a := range x.options.place(x.delivery, false) {
		own := scene
		own.Attachment = a.Attachment
		x.scene, x.placed = &own, a
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// at is the attachment at hand, and whether its octets go into the body: that of
// each, or the one the delivery is of.
func (x *filling) at(n *node) (a *parser.Attachment, goes bool, err error) {
	if x.placed.Attachment != nil {
		return x.placed.Attachment, x.placed.omitted == "", nil
	}
	if x.delivery.Part != "" {
		for p := range x.options.place(x.delivery, true) {
			return p.Attachment, p.omitted == "", nil
		}
	}
	return nil, false, unfilled(n.path, errors.New("no attachment is at hand; it stands within {$each: attachments, $item: …}"))
}

func (x *filling) jsonContent(n *node) error {
	a, goes, err := x.at(n)
	switch {
	case err != nil:
		return err
	case !goes:
		x.append("null")
		return nil
	}
	if err := x.body.appendContent(a); err != nil {
		return fmt.Errorf("reading attachment %s of the mail: %w", a.PartID, err)
	}
	return nil
}

// string is a node as a text.
func (x *filling) string(n *node) (s string, err error) {
	if n.kind == isText {
		s, err = n.text.fill(x.scene, nil)
	} else {
		s, err = textOf(n.fixed)
	}
	if err != nil {
		return "", unfilled(n.path, err)
	}
	return s, nil
}

// formField writes a field of a form. A list repeats its name; the members of an
// object are name[member]; what is null is left out.
func (x *filling) formField(name string, n *node) error {
	switch n.kind {
	case isList:
		for _, child := range n.list {
			if err := x.formField(name, child); err != nil {
				return err
			}
		}
		return nil
	case isObject:
		for _, f := range n.fields {
			if err := x.formField(name+"["+f.name+"]", f.node); err != nil {
				return err
			}
		}
		return nil
	case isEach:
		return x.each(func() error { return x.formField(name, n.each) })
	case isContent:
		return x.file(name, n)
	}
	if n.kind == isFixed && n.fixed == nil {
		return nil
	}
	value, err := x.string(n)
	if err != nil {
		return err
	}
	value = strings.ToValidUTF8(value, "\uFFFD")
	if x.boundary == "" {
		if x.begun {
			x.append("&")
		}
		x.begun = true
		x.append(url.QueryEscape(name) + "=" + url.QueryEscape(value))
		return nil
	}
	x.append("--" + x.boundary + "\r\nContent-Disposition: form-data; name=\"" + quoted(name) + "\"\r\n\r\n" + value + "\r\n")
	return nil
}

// file writes the attachment at hand as a file of a form (RFC 7578, section 4.2).
func (x *filling) file(name string, n *node) error {
	a, goes, err := x.at(n)
	if err != nil || !goes {
		return err
	}
	media := a.Type
	if !isMediaType(media) {
		media = "application/octet-stream"
	}
	x.append("--" + x.boundary + "\r\nContent-Disposition: form-data; name=\"" + quoted(name) + "\"; filename=\"" + quoted(a.SafeName) + "\"\r\nContent-Type: " + media + "\r\n\r\n")
	if err := x.body.putFile(a); err != nil {
		return err
	}
	x.append("\r\n")
	return nil
}

// quoted is a name within quotation marks as HTML writes it (multipart/form-data
// encoding algorithm, section 4.10.22.8 of the HTML Standard): in UTF-8, with "
// and line ends percent-encoded.
func quoted(s string) string {
	return strings.NewReplacer("\"", "%22", "\r", "%0D", "\n", "%0A").Replace(strings.ToValidUTF8(s, "\uFFFD"))
}
