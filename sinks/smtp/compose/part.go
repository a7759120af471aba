package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message"

	"github.com/postferry/postferry/parser"
)

// content is what a mail, or a part of it, consists of, before it is known what
// the server can take.
type content interface {
	part(o Offers) part
}

// part is content as it is written.
type part struct {
	head  header
	parts []content // of a multipart
	open  func() (io.ReadCloser, error)
}

func (p *part) write(w *message.Writer, o Offers) error {
	for _, c := range p.parts {
		child := c.part(o)
		cw, err := w.CreatePart(child.head.message())
		if err == nil {
			err = child.write(cw, o)
		}
		if err != nil {
			return err
		}
	}
	if p.open != nil {
		r, err := p.open()
		if err != nil {
			return err
		}
		defer r.Close()
		if _, err := io.Copy(w, r); err != nil {
			return err
		}
	}
	return w.Close()
}

// multipart are several parts (RFC 2046, section 5.1). seed makes its boundary,
// the same each time.
type multipart struct {
	subtype string
	seed    string
	parts   []content
}

func (m *multipart) part(Offers) part {
	sum := sha256.Sum256([]byte(m.subtype + " " + m.seed))
	p := part{parts: m.parts}
	p.head.add("Content-Type", mime.FormatMediaType("multipart/"+m.subtype, map[string]string{"boundary": "=_" + hex.EncodeToString(sum[:20])}))
	return p
}

// text is text of a mail, whose lines end in LF or CRLF.
type text struct {
	subtype string // plain, html
	text    string
}

// longestLine is the most octets a line of text has that is sent as it is (RFC
// 5322, section 2.1.1).
const longestLine = 998

func (t *text) part(o Offers) part {
	s := strings.ToValidUTF8(t.text, "\uFFFD")
	ascii := isASCII(s)
	p := part{open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }}
	charset, encoding := "utf-8", "quoted-printable"
	if ascii {
		charset = "us-ascii"
	}
	switch {
	case hasLongLine(s) || strings.ContainsRune(s, 0):
	case ascii:
		encoding = "7bit"
	case o.EightBit:
		encoding = "8bit"
	case octetsBeyondASCII(s) > len(s)/3:
		encoding = "base64" // shorter than quoted-printable
		s = crlf(s)         // RFC 2046, section 4.1.1
	}
	p.head.add("Content-Type", "text/"+t.subtype+"; charset="+charset)
	p.head.add("Content-Transfer-Encoding", encoding)
	return p
}

func hasLongLine(s string) bool {
	for line := range strings.Lines(s) {
		if len(line) > longestLine {
			return true
		}
	}
	return false
}

func octetsBeyondASCII(s string) (n int) {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			n++
		}
	}
	return n
}

func crlf(s string) string {
	return strings.ReplaceAll(lf(s), "\n", "\r\n")
}

// lf ends every line in LF alone.
func lf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// File is a file that goes with a mail.
type File struct {
	Name string // as the reader sees it; "" is none
	Type string // media type; "" is application/octet-stream
	CID  string // Content-ID without <>, for what the HTML shows; "" is none
	Open func() (io.ReadCloser, error)
}

func (f *File) part(Offers) part {
	p := part{open: f.Open}
	kind, _, err := mime.ParseMediaType(f.Type)
	if err != nil || !strings.Contains(kind, "/") || strings.HasPrefix(kind, "multipart/") || strings.HasPrefix(kind, "message/") {
		kind = "application/octet-stream" // RFC 2046, section 5.2: message/… and multipart/… may not be encoded
	}
	p.head.add("Content-Type", kind)
	p.head.add("Content-Transfer-Encoding", "base64")
	disposition, params := "attachment", map[string]string{}
	if f.CID != "" {
		disposition = "inline"
		p.head.add("Content-ID", "<"+f.CID+">")
	}
	if name := clip(oneLine(f.Name), 200); name != "" {
		params["filename"] = name // RFC 2231 where it needs to be
	}
	p.head.add("Content-Disposition", mime.FormatMediaType(disposition, params))
	return p
}

// attachment is one of the mail's, as a file.
func attachment(a *parser.Attachment) *File {
	f := &File{Name: a.SafeName, Type: a.Type, Open: a.Open}
	if a.Name != nil {
		f.Name = *a.Name
	}
	if a.CID != nil {
		if cid := ids([]string{*a.CID}); len(cid) == 1 {
			f.CID = cid[0]
		}
	}
	return f
}

// original is a whole mail within another.
type original struct {
	open func() io.Reader
	traits
	name string
}

// traits are what decides how octets can be sent.
type traits struct {
	eightBit bool // some are beyond US-ASCII
	binary   bool // NUL, or a line of more than 998: not even 8bit (RFC 2045, section 2.8)
}

// look reads octets for their traits.
func look(r io.Reader) (t traits, err error) {
	buf := make([]byte, 32<<10)
	line := 0
	for {
		n, err := r.Read(buf)
		for _, c := range buf[:n] {
			switch {
			case c == '\n':
				line = 0
				continue
			case c == 0:
				t.binary = true
			case c >= utf8.RuneSelf:
				t.eightBit = true
			}
			if line++; line > longestLine {
				t.binary = true
			}
		}
		if err == io.EOF {
			return t, nil
		}
		if err != nil {
			return t, err
		}
	}
}

func (g *original) part(o Offers) part {
	if g.binary || g.eightBit && !o.EightBit {
		// message/rfc822 may only be 7bit, 8bit or binary (RFC 2046, section 5.2.1).
		return (&File{Name: g.name, Open: func() (io.ReadCloser, error) { return io.NopCloser(g.open()), nil }}).part(o)
	}
	p := part{open: func() (io.ReadCloser, error) { return io.NopCloser(g.open()), nil }}
	encoding := "7bit"
	if g.eightBit {
		encoding = "8bit"
	}
	p.head.add("Content-Type", "message/rfc822")
	p.head.add("Content-Transfer-Encoding", encoding)
	p.head.add("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": g.name}))
	return p
}
