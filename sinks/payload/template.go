package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/postferry/postferry/sinks"
)

// template is a body the operator lays out as a tree whose texts may have holes
// (docs/templates.md). What a mail says fills a hole and can never break the
// tree: it is a value in it.
type template struct {
	Body  any    `config:"body,raw,required" doc:"What to send: a tree of YAML or JSON, whose texts may have holes such as {{ message.subject }} (docs/templates.md). With as: text, a text."`
	As    string `config:"as" enum:"json,form,multipart,text" doc:"json: the tree as JSON; form: its keys as an HTML form (application/x-www-form-urlencoded); multipart: as a form with files (multipart/form-data); text: a text as it stands"`
	Media string `config:"content_type" doc:"The media type of a body that is json or text, where it is not application/json or text/plain"`

	tree *node
}

// The forms of a template's body.
const (
	asJSON      = "json"
	asForm      = "form"
	asMultipart = "multipart"
	asText      = "text"
)

// Template is the format of that name with a tree for its body, which is sent as
// JSON. Its error says what is wrong with the tree, and where.
func Template(body any) (Format, error) {
	t := &template{Body: body, As: asJSON}
	return t, t.Validate()
}

func (t *template) SetDefaults() { t.As = asJSON }

func (*template) Name() string { return "template" }

// ContentType implements Format.
func (t *template) ContentType() string {
	switch {
	case t.As == asForm:
		return "application/x-www-form-urlencoded"
	case t.As == asMultipart:
		return "multipart/form-data"
	case t.Media != "":
		return t.Media
	case t.As == asText:
		return "text/plain"
	}
	return "application/json"
}

// Validate compiles the body, so that a mistake in it is found when the
// configuration is loaded.
func (t *template) Validate() error {
	if t.Body == nil {
		return errors.New("body is empty")
	}
	switch {
	case t.Media != "" && (t.As == asForm || t.As == asMultipart):
		return fmt.Errorf("content_type goes with as: json and as: text; a body that is %s has a media type of its own", t.As)
	case t.Media != "" && !isMediaType(t.Media):
		return fmt.Errorf("content_type %q is no media type; write it as application/json", t.Media)
	}
	body := t.Body
	if text, ok := body.(string); ok && t.As == asJSON && !strings.HasPrefix(strings.TrimSpace(text), "{{") {
		// A tree may be given as a text, too; texts with holes are texts in it.
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			return fmt.Errorf("body is a text that is no JSON (%w); write it as a tree, or set as: text", err)
		}
	}
	tree, err := compileNode(body, "body", 0)
	if err != nil {
		return err
	}
	if err := tree.suits(t.As); err != nil {
		return err
	}
	t.tree = tree
	return nil
}

// isMediaType tells what may stand in Content-Type (RFC 9110, section 8.3).
func isMediaType(s string) bool {
	kind, sub, found := strings.Cut(s, "/")
	return found && kind != "" && sub != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func (t *template) Render(d *sinks.Delivery, o Options) (*Body, error) {
	if t.tree == nil {
		return nil, sinks.Permanent(errors.New("the template has no body"))
	}
	b := newBody(t.ContentType())
	x := &filling{scene: sceneOf(d), delivery: d, options: o, body: b}
	x.scene.link = o.linkOf(d)
	if err := x.render(t); err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

// unfilled marks what a mail makes impossible: trying again cannot help.
func unfilled(path string, err error) error {
	return sinks.Permanent(fmt.Errorf("filling the template with this mail: %s: %w", path, err))
}
