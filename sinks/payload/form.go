package payload

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpguts"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// form writes a form into a body: multipart/form-data (RFC 7578), or
// application/x-www-form-urlencoded, which has no files.
type form struct {
	*Body
	boundary string // "" for the latter
	begun    bool
	err      error // the first, which end gives
}

// The media types of forms.
const (
	multipartForm  = "multipart/form-data"
	urlencodedForm = "application/x-www-form-urlencoded"
)

// newForm begins a form of one of the two types.
func newForm(d *sinks.Delivery, contentType string) *form {
	f := &form{Body: newBody(contentType)}
	if contentType == multipartForm {
		f.boundary = boundaryOf(d)
		f.ContentType += "; boundary=" + f.boundary
	}
	return f
}

// boundaryOf is the boundary of the delivery's form, the same on every attempt.
// It follows from the hash of the whole mail, so that no mail can hold its own:
// a sender would have to find a fixed point of SHA-256.
func boundaryOf(d *sinks.Delivery) string {
	mail := d.Octets.SHA256()
	sum := sha256.Sum256(append([]byte("multipart/form-data "+d.ID+" "), mail[:]...))
	return "postferry-" + hex.EncodeToString(sum[:20])
}

// field adds a field of text. What is no UTF-8 becomes U+FFFD.
func (f *form) field(name, value string) {
	value = strings.ToValidUTF8(value, "\uFFFD")
	f.stream(name, int64(len(value)), func(w io.Writer) error {
		_, err := io.WriteString(w, value)
		return err
	})
}

// stream adds a field of text that write writes, in UTF-8, of that size or, where
// it is negative, of one that is found by writing.
func (f *form) stream(name string, size int64, write func(io.Writer) error) {
	if f.err != nil {
		return
	}
	if f.boundary == "" {
		sep := ""
		if f.begun {
			sep = "&"
		}
		f.begun = true
		*f.text = append(*f.text, sep+escapeForm(name)+"="...)
		f.err = f.put(-1, func(w io.Writer) error { return write(&formWriter{w: w}) })
		return
	}
	f.part(name, "")
	f.err = f.put(size, write)
	*f.text = append(*f.text, "\r\n"...)
}

// file adds the attachment's octets as a file, under a name of its own where it
// has none: receivers lose a file without one.
func (f *form) file(name string, a *parser.Attachment) {
	if f.err != nil {
		return
	}
	f.part(name, "; filename=\""+fileName(a)+"\"\r\nContent-Type: "+mediaType(a))
	f.err = f.putFile(a)
	*f.text = append(*f.text, "\r\n"...)
}

func (f *form) part(name, more string) {
	*f.text = append(*f.text, "--"+f.boundary+"\r\nContent-Disposition: form-data; name=\""+parameter(name)+"\""+more+"\r\n\r\n"...)
}

// end finishes the form.
func (f *form) end() (*Body, error) {
	if f.err != nil {
		f.Release()
		return nil, f.err
	}
	if f.boundary != "" {
		*f.text = append(*f.text, "--"+f.boundary+"--\r\n"...)
	}
	return f.Body, nil
}

// nameOf is the attachment's name, one made from its part and type if the mail
// gives none.
func nameOf(a *parser.Attachment) string {
	if a.Name != nil && strings.TrimSpace(*a.Name) != "" {
		return strings.ToValidUTF8(*a.Name, "\uFFFD")
	}
	return a.SafeName
}

// fileName is nameOf as receivers agree to read it: in UTF-8 as it is, without
// what needs an escape, which each reads in its own way, and without what turns
// it into a path.
func fileName(a *parser.Attachment) string {
	return parameter(strings.ReplaceAll(nameOf(a), "/", "_"))
}

// mediaType is the attachment's type, where it is one.
func mediaType(a *parser.Attachment) string {
	main, sub, _ := strings.Cut(a.Type, "/")
	if !httpguts.ValidHeaderFieldName(main) || !httpguts.ValidHeaderFieldName(sub) { // both are tokens
		return "application/octet-stream"
	}
	return a.Type
}

// parameter makes a quoted value of Content-Disposition of any text.
func parameter(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '"' || r == '\\' || unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > maxParameter {
		s = "…" + strings.ToValidUTF8(s[len(s)-maxParameter:], "") // the end, where the extension is
	}
	return s
}

// maxParameter bounds a name, in octets: receivers bound the header of a part, some
// of them at 4 KiB.
const maxParameter = 1000

// formWriter percent-encodes what is written.
type formWriter struct {
	w   io.Writer
	buf []byte
}

func (f *formWriter) Write(p []byte) (int, error) {
	const chunk = 8 << 10
	done := 0
	for done < len(p) {
		n := min(chunk, len(p)-done)
		f.buf = appendForm(f.buf[:0], p[done:done+n])
		if _, err := f.w.Write(f.buf); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

func escapeForm(s string) string { return string(appendForm(nil, []byte(s))) }

// appendForm is the application/x-www-form-urlencoded serializing of the URL
// Standard, section 5.2.
func appendForm(b, s []byte) []byte {
	const upper = "0123456789ABCDEF"
	for _, c := range s {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '*', c == '-', c == '.', c == '_':
			b = append(b, c)
		case c == ' ':
			b = append(b, '+')
		default:
			b = append(b, '%', upper[c>>4], upper[c&0xf])
		}
	}
	return b
}
