package parser

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"html"
	"io"
	"strings"
)

// bodies is which parts are the text of a mail, which its HTML, and which are
// attachments (RFC 8621 section 4.1.4).
type bodies struct {
	text, html  []*part
	attachments []*part
	noText      bool // no further part belongs to text
	noHTML      bool
}

func (p *parse) bodies(root *part) *bodies {
	b := &bodies{}
	b.structure([]*part{root}, "mixed", false)
	return b
}

// structure is the algorithm of RFC 8621 section 4.1.4, with one difference:
// media shown between texts are attachments too, since there is no other place
// in the Message that has them.
func (b *bodies) structure(parts []*part, multipart string, inAlternative bool) {
	text, html := len(b.text), len(b.html)
	for i, pt := range parts {
		switch {
		case pt.isMultipart() && len(pt.children) > 0:
			sub := strings.TrimPrefix(pt.mediaType, "multipart/")
			b.structure(pt.children, sub, inAlternative || sub == "alternative")
		case !isInline(pt, i, multipart):
			b.attachments = append(b.attachments, pt)
		case multipart == "alternative":
			switch pt.mediaType {
			case "text/plain":
				b.text = append(b.text, pt)
			case "text/html":
				b.html = append(b.html, pt)
			default:
				b.attachments = append(b.attachments, pt)
			}
		default:
			b.inline(pt, inAlternative)
		}
	}
	if multipart != "alternative" || b.noText || b.noHTML {
		return
	}
	switch {
	case text == len(b.text) && html != len(b.html): // HTML only
		b.text = append(b.text, b.html[html:]...)
	case html == len(b.html) && text != len(b.text): // plain text only
		b.html = append(b.html, b.text[text:]...)
	}
}

func (b *bodies) inline(pt *part, inAlternative bool) {
	if !isText(pt) {
		b.attachments = append(b.attachments, pt)
		return
	}
	noText, noHTML := b.noText, b.noHTML
	if inAlternative {
		switch pt.mediaType {
		case "text/plain":
			b.noHTML, noHTML = true, true
		case "text/html":
			b.noText, noText = true, true
		}
	}
	if !noText {
		b.text = append(b.text, pt)
	}
	if !noHTML {
		b.html = append(b.html, pt)
	}
	if inAlternative { // the next branch begins anew
		b.noText, b.noHTML = false, false
	}
}

func isText(pt *part) bool { return pt.mediaType == "text/plain" || pt.mediaType == "text/html" }

func isMedia(pt *part) bool {
	main, _, _ := strings.Cut(pt.mediaType, "/")
	return main == "image" || main == "audio" || main == "video"
}

func isInline(pt *part, i int, multipart string) bool {
	if pt.disposition == "attachment" || !isText(pt) && !isMedia(pt) {
		return false
	}
	return i == 0 || multipart != "related" && (isMedia(pt) || pt.name == "")
}

// texts decodes the parts that are shown.
func (p *parse) texts(b *bodies) {
	decoded := map[*part]string{}
	read := func(pt *part) string {
		s, ok := decoded[pt]
		if !ok {
			s = p.text(pt)
			decoded[pt] = s
		}
		return s
	}
	if hasType(b.html, "text/html") {
		p.msg.HTML = p.join(b.html, "html", func(pt *part) string {
			if pt.mediaType == "text/plain" {
				return "<pre>" + html.EscapeString(read(pt)) + "</pre>"
			}
			return read(pt)
		})
	}
	if len(b.text) > 0 {
		p.msg.Text = p.join(b.text, "text", func(pt *part) string {
			if pt.mediaType == "text/html" {
				return htmlText(read(pt), true, p.lim.Text)
			}
			return read(pt)
		})
	} else if p.msg.HTML != nil {
		s := htmlText(*p.msg.HTML, true, p.lim.Text)
		p.msg.Text = &s
	}
	if p.msg.HTML != nil {
		s := safeHTML(*p.msg.HTML)
		p.msg.HTMLSafe = &s
	}
}

func hasType(parts []*part, mediaType string) bool {
	for _, pt := range parts {
		if pt.mediaType == mediaType {
			return true
		}
	}
	return false
}

// join puts the texts of parts together, up to the limit.
func (p *parse) join(parts []*part, where string, read func(*part) string) *string {
	if len(parts) == 1 {
		s := read(parts[0])
		return &s
	}
	var out strings.Builder
	for _, pt := range parts {
		s := read(pt)
		if out.Len() > 0 && s != "" {
			out.WriteByte('\n')
		}
		if out.Len()+len(s) > p.lim.Text {
			p.problemOnce(ProblemLimitText, where, "the text is longer than the limit; the rest was left out")
			out.WriteString(clip(s, max(p.lim.Text-out.Len(), 0)))
			break
		}
		out.WriteString(s)
	}
	s := out.String()
	return &s
}

// text decodes a text part: transfer encoding, charset, line ends as LF (RFC
// 8621 section 4.1.4), no NUL.
func (p *parse) text(pt *part) string {
	where := partWhere(pt)
	octets, cut := p.content(pt, p.lim.Text)
	if cut {
		p.problemOnce(ProblemLimitText, where, "the text is longer than the limit; the rest was left out")
	}
	charset := pt.params.get("charset")
	if charset == "" && pt.mediaType == "text/html" {
		charset = metaCharset(octets)
	}
	s := p.toUTF8(octets, charset, where)
	if strings.IndexByte(s, 0) >= 0 {
		p.problemOnce(ProblemNUL, where, "NUL octets were left out")
		s = strings.ReplaceAll(s, "\x00", "")
	}
	s = strings.TrimPrefix(s, "\ufeff")
	if strings.IndexByte(s, '\r') >= 0 {
		s = strings.ReplaceAll(s, "\r\n", "\n")
		s = strings.ReplaceAll(s, "\r", "\n")
	}
	return validUTF8(s)
}

// content reads a part decoded, at most limit octets of it.
func (p *parse) content(pt *part, limit int) (octets []byte, cut bool) {
	d := decodeFrom(&span{p.src, pt.start, pt.end}, pt.encoding)
	var b bytes.Buffer
	b.Grow(int(min(pt.end-pt.start, int64(limit))) + bytes.MinRead)
	_, _ = b.ReadFrom(io.LimitReader(d, int64(limit)+1)) // an error of the source is in src.err
	if d.mended() {
		p.problemOnce(transferProblem(pt.encoding), partWhere(pt), "the part's transfer encoding is broken")
	}
	if b.Len() > limit {
		b.Truncate(limit)
		cut = true
	}
	return b.Bytes(), cut
}

// span reads octets of the mail.
type span struct {
	src      *source
	off, end int64
}

func (s *span) Read(p []byte) (int, error) {
	if s.off >= s.end {
		return 0, io.EOF
	}
	b := s.src.at(s.off, 1)
	if len(b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b[:min(int64(len(b)), s.end-s.off)])
	s.off += int64(n)
	return n, nil
}

// attachments describes what is not shown.
func (p *parse) attachments(b *bodies) {
	for _, pt := range b.attachments {
		a := p.attachment(pt)
		p.msg.Attachments = append(p.msg.Attachments, a)
		if !p.embedded(&a) {
			p.msg.HasAttachment = true
		}
	}
}

// embedded tells whether the attachment is shown by the HTML itself (RFC 2392):
// by use, not by what its disposition says.
func (p *parse) embedded(a *Attachment) bool {
	return a.CID != nil && p.msg.HTML != nil && strings.Contains(*p.msg.HTML, "cid:"+*a.CID)
}

func (p *parse) attachment(pt *part) Attachment {
	raw := rawPart{r: p.r, off: pt.start, n: pt.end - pt.start, encoding: pt.encoding}
	a := Attachment{PartID: pt.id, Type: pt.mediaType, Name: optional(pt.name), CID: optional(pt.cid), Disposition: optional(pt.disposition)}
	if strings.HasPrefix(pt.mediaType, "text/") {
		a.Charset = optional(validUTF8(strings.ToLower(pt.params.get("charset"))))
	}
	d := decodeFrom(&span{p.src, pt.start, pt.end}, pt.encoding)
	hash := sha256.New()
	var buf [32 << 10]byte
	for {
		n, err := d.Read(buf[:])
		hash.Write(buf[:n])
		a.Size += int64(n)
		if err != nil {
			break // an error of the source is in src.err
		}
	}
	a.SHA256 = hex.EncodeToString(hash.Sum(nil))
	if d.mended() {
		p.problemOnce(transferProblem(pt.encoding), partWhere(pt), "the part's transfer encoding is broken")
	}
	raw.clean = pt.encoding == encBase64 && !d.mended()
	a.part = raw
	a.SafeName = safeName(pt)
	return a
}

// optional is nil for "".
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
