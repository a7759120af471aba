package parser

import (
	"crypto/sha256"
	"encoding/hex"
	"html"
	"net/url"
	"strconv"
	"strings"
)

// attachments describes what is not shown: parts, the files in a winmail.dat,
// and those that stand encoded in a text.
func (p *parse) attachments(b *bodies) {
	for _, pt := range b.attachments {
		if isTNEF(pt) && p.openTNEF(pt) {
			continue
		}
		p.attach(rawPart{r: p.r, off: pt.start, n: pt.end - pt.start, encoding: pt.encoding}, Attachment{
			PartID: pt.id, Type: pt.mediaType, Name: optional(pt.name), CID: optional(pt.cid), Disposition: optional(pt.disposition), Charset: p.attachedCharset(pt),
		})
	}
	for _, pt := range b.text {
		for i, f := range pt.files {
			raw := rawPart{r: p.r, off: pt.start, n: pt.end - pt.start, encoding: pt.encoding, within: true, skip: int64(f.start), inner: int64(f.end - f.start), innerEncoding: f.encoding}
			name := oneLine(p.rawText(f.name, partWhere(pt)))
			p.attach(raw, Attachment{PartID: subID(pt, i), Type: typeOfName(name), Name: optional(name)})
		}
		pt.files = nil // a part that is text and HTML gives them once
	}
}

// subID numbers what lies within a part that has no parts.
func subID(pt *part, i int) string {
	id := pt.id
	if id == "" {
		id = "1"
	}
	return id + "." + strconv.Itoa(i+1)
}

func (p *parse) attachedCharset(pt *part) *string {
	if !strings.HasPrefix(pt.mediaType, "text/") {
		return nil
	}
	return optional(validUTF8(strings.ToLower(pt.params.get("charset"))))
}

// attach measures and hashes an attachment, and lists it.
func (p *parse) attach(raw rawPart, a Attachment) {
	lent := p.src.lent
	lent.hash.Reset()
	var bad bool
	if octets, d, ok := p.whole(raw.off, raw.n, raw.encoding, &lent.chunk); ok && !raw.within {
		lent.hash.Write(octets)
		a.Size, bad = int64(len(octets)), d.bad
		raw.clean = raw.encoding == encBase64 && !d.bad && !d.odd
	} else {
		a.Size, bad = p.pass(&raw)
	}
	var sum [sha256.Size]byte
	a.SHA256 = hex.EncodeToString(lent.hash.Sum(sum[:0]))
	if bad {
		e := raw.encoding
		if raw.within {
			e = raw.innerEncoding
		}
		p.problemOnce(transferProblem(e), "part "+a.PartID, "the part's transfer encoding is broken")
	}
	a.part = raw
	name := ""
	if a.Name != nil {
		name = *a.Name
	}
	a.SafeName = safeName(name, a.PartID, a.Type)
	p.msg.Attachments = append(p.msg.Attachments, a)
	if !p.embedded(&a) && !forPrograms[a.Type] {
		p.msg.HasAttachment = true
	}
}

// pass hands the octets of a part to the hash and counts them.
func (p *parse) pass(raw *rawPart) (size int64, bad bool) {
	d, lent := raw.decodeFrom(&span{p.src, raw.off, raw.off + raw.n}), p.src.lent
	if b, ok := d.(*base64Decoder); ok {
		b.decoded = lent.chunk
		for {
			octets, err := b.next()
			lent.hash.Write(octets)
			size += int64(len(octets))
			if err != nil {
				break // an error of the source is in src.err
			}
		}
		lent.chunk = b.decoded
		raw.clean = b.plain() && !raw.within
		return size, b.mended()
	}
	if cap(lent.chunk) < base64Chunk {
		lent.chunk = make([]byte, 0, base64Chunk)
	}
	buf := lent.chunk[:cap(lent.chunk)]
	for {
		n, err := d.Read(buf)
		lent.hash.Write(buf[:n])
		size += int64(n)
		if err != nil {
			return size, d.mended()
		}
	}
}

// forPrograms are the parts nobody opens: RFC 8621 section 4.1.4 lets
// hasAttachment pass over what is processed automatically.
var forPrograms = map[string]bool{
	"application/pkcs7-signature": true, "application/x-pkcs7-signature": true, "application/pgp-signature": true, "application/pgp-encrypted": true,
	"message/delivery-status": true, "message/global-delivery-status": true, "message/disposition-notification": true,
	"message/global-disposition-notification": true, "message/feedback-report": true, "text/rfc822-headers": true,
}

// embedded tells whether the HTML itself shows the attachment (RFC 2392): by
// use, not by what its disposition says.
func (p *parse) embedded(a *Attachment) bool {
	if a.CID == nil || p.msg.HTML == nil {
		return false
	}
	if p.cids == nil {
		p.cids = contentIDs(*p.msg.HTML)
	}
	return p.cids[*a.CID]
}

// maxContentIDs bounds the references looked for.
const maxContentIDs = 10000

// contentIDs are the ids the "cid:" URLs of an HTML text name.
func contentIDs(s string) map[string]bool {
	ids := map[string]bool{}
	for len(ids) < maxContentIDs {
		i := indexFold(s, "cid:")
		if i < 0 {
			break
		}
		s = s[i+len("cid:"):]
		end := strings.IndexAny(s[:min(len(s), 1000)], "\"'<>) \t\r\n")
		if end < 0 {
			continue
		}
		id := html.UnescapeString(s[:end])
		ids[id] = true
		if plain, err := url.PathUnescape(id); err == nil {
			ids[plain] = true
		}
	}
	return ids
}

// indexFold finds sub, which is ASCII in lower case, in s in any case.
func indexFold(s, sub string) int {
	for from := 0; ; {
		i := strings.IndexByte(s[from:], sub[len(sub)-1])
		if i < 0 {
			return -1
		}
		from += i + 1
		if from >= len(sub) && strings.EqualFold(s[from-len(sub):from], sub) {
			return from - len(sub)
		}
	}
}

func isTNEF(pt *part) bool {
	return pt.mediaType == "application/ms-tnef" || pt.mediaType == "application/vnd.ms-tnef" ||
		strings.EqualFold(pt.name, "winmail.dat") && pt.mediaType == "application/octet-stream"
}

// openTNEF lists what a winmail.dat holds instead of the winmail.dat; where it
// holds no file, or cannot be read to its end, it stays in the list too, and
// openTNEF returns false.
func (p *parse) openTNEF(pt *part) bool {
	where := partWhere(pt)
	octets, cut := p.content(pt, p.lim.Nested)
	if cut {
		p.problemOnce(ProblemLimitNested, where, "the winmail.dat is larger than the limit and stays closed")
		return false
	}
	t := readTNEF(octets, func(b []byte, charset string) string { return p.toUTF8(b, charset, where) })
	if whole := p.msg.Text != nil || p.msg.HTML != nil || t.readRTF(p.lim.Text); !t.ok || !whole {
		p.problem(ProblemBadTNEF, where, "the winmail.dat could not be read to its end")
	}
	if p.msg.HTML == nil && t.html != "" {
		s := p.cleanText(t.html, where)
		p.msg.HTML = &s
	}
	if p.msg.Text == nil && t.text != "" {
		s := p.cleanText(t.text, where)
		p.msg.Text = &s
	}
	for i, f := range t.files {
		raw := rawPart{r: p.r, off: pt.start, n: pt.end - pt.start, encoding: pt.encoding, within: true, skip: int64(f.off), inner: int64(f.n)}
		name := oneLine(f.name)
		mediaType := f.mediaType
		if main, sub, ok := strings.Cut(mediaType, "/"); !ok || !isToken(main) || !isToken(sub) {
			mediaType = typeOfName(name)
		}
		p.attach(raw, Attachment{PartID: subID(pt, i), Type: mediaType, Name: optional(name), CID: optional(validUTF8(oneLine(f.cid)))})
	}
	return t.ok && len(t.files) > 0
}
