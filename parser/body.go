package parser

import (
	"bytes"
	"html"
	"io"
	"strings"
	"unicode/utf8"
)

// bodies is which parts are the text of a mail, which its HTML, and which are
// attachments (RFC 8621 section 4.1.4).
type bodies struct {
	text, html, attachments []*part
}

func (p *parse) bodies(root *part) *bodies {
	b := &bodies{}
	b.structure([]*part{root}, "mixed", false, &b.html, &b.text)
	return b
}

// structure is the algorithm of RFC 8621 section 4.1.4, with two differences:
// media shown between texts are attachments too, since there is no other place
// in the Message that has them, and a text that belongs to neither list is an
// attachment. html and text are nil where no further part belongs to them.
func (b *bodies) structure(parts []*part, multipart string, inAlternative bool, html, text *[]*part) {
	texts, htmls := length(text), length(html)
	for i, pt := range parts {
		switch {
		case pt.isMultipart() && len(pt.children) > 0:
			sub := strings.TrimPrefix(pt.mediaType, "multipart/")
			b.structure(pt.children, sub, inAlternative || sub == "alternative", html, text)
			continue
		case pt.isMultipart() && pt.start >= pt.end:
			continue // an empty one
		case !isInline(pt, i, multipart) || isMedia(pt):
			b.attachments = append(b.attachments, pt)
			continue
		case multipart == "alternative":
			to := html
			if pt.mediaType == "text/plain" {
				to = text
			}
			if to == nil {
				to = &b.attachments
			}
			*to = append(*to, pt)
			continue
		case inAlternative && pt.mediaType == "text/plain":
			html = nil
		case inAlternative:
			text = nil
		}
		if text == nil && html == nil {
			b.attachments = append(b.attachments, pt)
		}
		if text != nil {
			*text = append(*text, pt)
		}
		if html != nil {
			*html = append(*html, pt)
		}
	}
	if multipart != "alternative" || text == nil || html == nil {
		return
	}
	switch {
	case texts == len(*text) && htmls != len(*html): // HTML only
		*text = append(*text, (*html)[htmls:]...)
	case htmls == len(*html) && texts != len(*text): // plain text only
		*html = append(*html, (*text)[texts:]...)
	}
}

func length(list *[]*part) int {
	if list == nil {
		return -1
	}
	return len(*list)
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
		p.textOfHTML = len(b.text) == 1 && b.text[0].mediaType == "text/html"
		p.msg.Text = p.join(b.text, "text", func(pt *part) string {
			if pt.mediaType == "text/html" {
				return htmlText(read(pt), true, p.lim.Text)
			}
			return read(pt)
		})
	}
}

// completeText makes text of the HTML where the mail has none to show, and the
// HTML that is safe to show.
func (p *parse) completeText() {
	m := p.msg
	if m.HTML == nil {
		return
	}
	if m.Text == nil || strings.TrimSpace(*m.Text) == "" {
		s := htmlText(*m.HTML, true, p.lim.Text)
		m.Text, p.textOfHTML = &s, true
	}
	limit := max(p.lim.Text/2, 1) // to make it takes several times its size
	if len(*m.HTML) > limit {
		p.problemOnce(ProblemLimitText, "htmlSafe", "the HTML is longer than what is sanitised; the rest was left out")
	}
	s := safeHTML(clip(*m.HTML, limit), p.lim.Text)
	m.HTMLSafe = &s
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
// 8621 section 4.1.4), no NUL. Files that stand encoded in the text are taken out
// of it; attachments has them.
func (p *parse) text(pt *part) string {
	where := partWhere(pt)
	limit := p.lim.Text
	if pt.mediaType == "text/plain" {
		limit = max(limit, p.lim.Nested)
	}
	if pt.encoding == encBase64 && isProse(p.beginning(pt, proseSample)) {
		p.problemOnce(ProblemBadBase64, where, "labelled base64, and not encoded at all")
		pt.encoding = encIdentity
	}
	octets, cut := p.content(pt, limit)
	if pt.mediaType == "text/plain" {
		pt.files = embeddedFiles(octets)
		octets = without(octets, pt.files)
	}
	if len(octets) > p.lim.Text {
		octets, cut = octets[:p.lim.Text], true
	}
	if cut {
		p.problemOnce(ProblemLimitText, where, "the text is longer than the limit; the rest was left out")
	}
	charset := pt.params.get("charset")
	if charset == "" && pt.mediaType == "text/html" {
		charset = metaCharset(octets)
	}
	s, ok := p.plainText(octets, charset)
	if !ok {
		s = p.cleanText(p.toUTF8(octets, charset, where), where)
	}
	if pt.mediaType == "text/plain" && strings.EqualFold(pt.params.get("format"), "flowed") {
		s = unflow(s, strings.EqualFold(pt.params.get("delsp"), "yes"))
	}
	if len(s) > p.lim.Text { // a charset of one octet for each character grows
		p.problemOnce(ProblemLimitText, where, "the text is longer than the limit; the rest was left out")
		s = clip(s, p.lim.Text)
	}
	return s
}

// beginning is at most n octets of a part as they were sent.
func (p *parse) beginning(pt *part, n int64) []byte {
	n = max(min(n, pt.end-pt.start), 0)
	b := p.src.at(pt.start, int(n))
	return b[:min(int64(len(b)), n)]
}

const proseSample = 2 << 10

// isProse tells whether octets are words with blanks between them, of which base64
// has none within a line.
func isProse(octets []byte) bool {
	letters, blanks := 0, 0
	for i, c := range octets {
		switch {
		case c == ' ' || c == '\t':
			if i > 0 && octets[i-1] > ' ' && i+1 < len(octets) && octets[i+1] != '\r' && octets[i+1] != '\n' {
				blanks++
			}
		case c > ' ':
			letters++
		}
	}
	return blanks >= 5 && blanks*30 >= letters
}

// plainText is what toUTF8 and cleanText make of octets that need no repair:
// UTF-8 labelled so, or ASCII, without NUL. They are copied once.
func (p *parse) plainText(octets []byte, charset string) (string, bool) {
	switch charsetName(charset) {
	case "utf-8", "utf8":
		if !utf8.Valid(octets) {
			return "", false
		}
	case "", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252":
		if hasHigh(octets) {
			return "", false
		}
	default:
		return "", false
	}
	if bytes.IndexByte(octets, 0) >= 0 {
		return "", false
	}
	octets = bytes.TrimPrefix(octets, []byte("\ufeff"))
	if bytes.IndexByte(octets, '\r') < 0 {
		return string(octets), true
	}
	lines := p.src.lent.lines[:0]
	for len(octets) > 0 {
		i := bytes.IndexByte(octets, '\r')
		if i < 0 {
			i = len(octets)
		}
		lines = append(lines, octets[:i]...)
		if i == len(octets) {
			break
		}
		lines = append(lines, '\n')
		if octets = octets[i+1:]; len(octets) > 0 && octets[0] == '\n' {
			octets = octets[1:]
		}
	}
	p.src.lent.lines = lines
	return string(lines), true
}

// cleanText makes LF of the line ends of a text, and leaves NUL out.
func (p *parse) cleanText(s, where string) string {
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

// without is octets without the files that stand in them.
func without(octets []byte, files []embeddedFile) []byte {
	if len(files) == 0 {
		return octets
	}
	out := make([]byte, 0, len(octets))
	at := 0
	for _, f := range files {
		out = append(out, octets[at:f.start]...)
		at = f.end
	}
	return append(out, octets[at:]...)
}

// content reads a part decoded, at most limit octets of it. They are good until
// the source is read again.
func (p *parse) content(pt *part, limit int) (octets []byte, cut bool) {
	n := pt.end - pt.start
	lent := p.src.lent
	if n <= int64(limit) {
		if octets, d, ok := p.whole(pt.start, n, pt.encoding, &lent.body); ok {
			if d.bad {
				p.problemOnce(transferProblem(pt.encoding), partWhere(pt), "the part's transfer encoding is broken")
			}
			return octets, false
		}
	}
	d := decodeFrom(&span{p.src, pt.start, pt.end}, pt.encoding, n)
	b := bytes.NewBuffer(lent.body[:0])
	b.Grow(int(min(n, int64(limit))) + bytes.MinRead)
	_, _ = b.ReadFrom(io.LimitReader(d, int64(limit)+1)) // an error of the source is in src.err
	lent.body = b.Bytes()
	if d.mended() {
		p.problemOnce(transferProblem(pt.encoding), partWhere(pt), "the part's transfer encoding is broken")
	}
	return lent.body[:min(len(lent.body), limit)], len(lent.body) > limit
}

// whole decodes n octets of the mail at once, into a buffer of the window, where all
// of them are in view; ok is false where they are not. What was odd about them is in
// the decoder.
func (p *parse) whole(off, n int64, e encoding, into *[]byte) (octets []byte, d lettersDecoder, ok bool) {
	if n > windowSize || e > encQP {
		return nil, d, false
	}
	b := p.src.at(off, int(n))
	b = b[:min(int(n), len(b))]
	switch e {
	case encBase64:
		*into = d.end(d.appendQuick((*into)[:0], b))
	case encQP:
		var good bool
		*into, good = appendQP((*into)[:0], b)
		d.bad = !good
	default:
		return b, d, true
	}
	return *into, d, true
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

// next returns up to n octets, which are good until the source is read again.
func (s *span) next(n int) ([]byte, error) {
	if s.off >= s.end {
		return nil, io.EOF
	}
	b := s.src.at(s.off, 1)
	b = b[:min(int64(len(b)), s.end-s.off, int64(n))]
	if len(b) == 0 {
		return nil, io.EOF
	}
	s.off += int64(len(b))
	return b, nil
}

// optional is nil for "".
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
