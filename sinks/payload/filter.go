package payload

import (
	"errors"
	"io"
	"path"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"github.com/postferry/postferry/parser"
)

// Filter says which attachments a sink wants: those that every part of it that is
// set agrees to. A nil Filter wants all.
type Filter struct {
	Types []string // media types, "application/pdf" or "image/*", of what the octets are, whatever they are labelled
	Names []string // patterns of names, "*.pdf", in any case of letters
	Min   int64    // octets, decoded
	Max   int64    // 0 is no limit
}

// Takes tells whether the attachment is wanted.
func (f *Filter) Takes(a *parser.Attachment) bool {
	switch {
	case f == nil:
		return true
	case a.Size < f.Min, f.Max > 0 && a.Size > f.Max:
		return false
	case len(f.Names) > 0 && !f.named(nameOf(a)):
		return false
	}
	return len(f.Types) == 0 || f.typed(a)
}

func (f *Filter) named(name string) bool {
	name = strings.ToLower(strings.ReplaceAll(name, "/", "_"))
	for _, pattern := range f.Names {
		if ok, err := path.Match(strings.ToLower(pattern), name); ok && err == nil {
			return true
		}
	}
	return false
}

func (f *Filter) typed(a *parser.Attachment) bool {
	for t := sniff(a); t != nil; t = t.Parent() {
		for _, pattern := range f.Types {
			if ok, err := path.Match(pattern, strings.SplitN(t.String(), ";", 2)[0]); ok && err == nil {
				return true
			}
		}
	}
	return false
}

// sniffed is how many octets of an attachment tell what it is.
const sniffed = 3 << 10

// sniff tells what the octets are: the most exact type, whose parents they are as
// well (a document of Word is a ZIP archive). What cannot be read is octets.
func sniff(a *parser.Attachment) *mimetype.MIME {
	r, err := a.Open()
	if err != nil {
		return mimetype.Detect(nil)
	}
	defer r.Close()
	head := make([]byte, sniffed)
	n, _ := io.ReadFull(r, head) // a short one is judged by what there is
	return mimetype.Detect(head[:n])
}

// CheckFilter refuses patterns that match nothing.
func (f *Filter) CheckFilter() error {
	if f.Max > 0 && f.Min > f.Max {
		return errors.New("attachments_only.min_size: it is more than max_size, so that no attachment would be sent")
	}
	for _, t := range f.Types {
		if _, err := path.Match(t, ""); err != nil || strings.Count(t, "/") != 1 || t != strings.ToLower(t) {
			return &filterError{"types", t, "a media type such as application/pdf or image/*"}
		}
	}
	for _, n := range f.Names {
		if _, err := path.Match(n, ""); err != nil || n == "" {
			return &filterError{"names", n, "a pattern such as *.pdf"}
		}
	}
	return nil
}

type filterError struct{ key, value, want string }

func (e *filterError) Error() string {
	return "attachments_only." + e.key + ": \"" + e.value + "\" is not " + e.want
}
