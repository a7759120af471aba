package parser

import (
	"strings"
)

// describe reads the fields of a part's header that say what the part is (RFC
// 2045, RFC 2183, RFC 2392).
func (p *parse) describe(pt, parent *part) {
	where := partWhere(pt)
	if parent == nil {
		where = "header"
	}
	f := readContentFields(pt.header)
	raw, has := f.first[contentType], f.count[contentType] > 0
	pt.mediaType = "text/plain" // RFC 2045 section 5.2
	if parent != nil && parent.mediaType == "multipart/digest" {
		pt.mediaType = "message/rfc822" // RFC 2046 section 5.1.5
	}
	if has && raw != "" {
		var value string
		value, pt.params = p.readParams(raw, where)
		pt.mediaType = p.mediaType(value, pt, where)
		if p.fallback == "" {
			p.fallback = usefulFallback(pt)
		}
	}
	if f.count[contentDisposition] > 0 {
		raw := f.first[contentDisposition]
		pt.disposition, pt.dispParams = p.readParams(raw, where)
		if i := strings.IndexAny(pt.disposition, " \t="); i >= 0 {
			pt.disposition = pt.disposition[:i]
		}
		pt.disposition = strings.Trim(pt.disposition, `"`)
		if pt.disposition == "" && pt.dispParams.has("filename") {
			pt.disposition = "attachment"
		}
	}
	if f.count[contentTransferEncoding] > 0 {
		pt.encoding = p.readEncoding(f.first[contentTransferEncoding], where)
	}
	// Software that believes the other one sees another mail.
	for i, name := range contentNames[:contentID] {
		if f.count[i] > 1 {
			p.problem(ProblemDuplicateField, where, name+" stands twice; the first holds")
		}
	}
	if pt.isMultipart() {
		pt.boundary = strings.TrimRight(pt.params.get("boundary"), " \t")
		if len(pt.boundary) > maxBoundary {
			pt.boundary = ""
		}
		pt.encoding = encIdentity // RFC 2045 section 6.4
		return
	}
	pt.name = pt.dispParams.get("filename")
	if pt.name == "" {
		pt.name = pt.dispParams.get("name")
	}
	if pt.name == "" {
		pt.name = pt.params.get("name")
	}
	if pt.name == "" {
		pt.name = pt.params.get("filename")
	}
	pt.name = strings.TrimSpace(pt.name)
	if f.count[contentID] > 0 {
		raw := f.first[contentID]
		pt.cid = strings.Trim(strings.TrimSpace(stripComments(raw)), "<>")
		pt.cid = validUTF8(strings.TrimSpace(pt.cid))
	}
}

// usefulFallback is the charset of a text part, if it says more than ASCII does.
func usefulFallback(pt *part) string {
	if !strings.HasPrefix(pt.mediaType, "text/") && !pt.isMultipart() {
		return ""
	}
	switch name := charsetName(pt.params.get("charset")); name {
	case "us-ascii", "ascii", "utf-8", "utf8":
		return ""
	default:
		return name
	}
}

// The fields that say what a part is.
const (
	contentType = iota
	contentTransferEncoding
	contentDisposition
	contentID
	contentFieldCount
)

var (
	contentNames = [contentFieldCount]string{"Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID"}
	contentKeys  = [contentFieldCount]uint32{nameKey("Content-Type"), nameKey("Content-Transfer-Encoding"), nameKey("Content-Disposition"), nameKey("Content-ID")}
)

// contentFields are the first of each of those fields, and how many there are.
type contentFields struct {
	first [contentFieldCount]string
	count [contentFieldCount]int
}

func readContentFields(h header) (c contentFields) {
	for i := range h {
		for k, key := range contentKeys {
			if h[i].key == key && h[i].is(contentNames[k], key) {
				if c.count[k]++; c.count[k] == 1 {
					c.first[k] = h[i].value
				}
			}
		}
	}
	return c
}

// mediaType makes sense of a media type (RFC 2045 section 5.1).
func (p *parse) mediaType(v string, pt *part, where string) string {
	if main, sub, ok := strings.Cut(v, "/"); ok && isToken(main) && isToken(sub) && !strings.ContainsAny(v, "'") {
		return v
	}
	v = strings.Trim(v, "\"' \t,")
	if strings.ContainsAny(v, " \t") {
		v = strings.Join(strings.Fields(v), "")
	}
	main, sub, ok := strings.Cut(v, "/")
	if ok && isToken(main) && isToken(sub) {
		return v
	}
	p.problem(ProblemBadContentType, where, "the media type reads "+clip(v, 80))
	if ok && isToken(main) {
		if i := strings.IndexFunc(sub, func(r rune) bool { return !isTokenRune(r) }); i > 0 {
			return main + "/" + sub[:i]
		}
	}
	switch {
	case main == "multipart":
		return "multipart/mixed"
	case main == "html":
		return "text/html"
	case main == "text", main == "plain", main == "":
		return "text/plain"
	case main == "message":
		return "message/rfc822"
	case pt.params.has("name"):
		return "application/octet-stream"
	}
	if d, ok := pt.header.first("Content-Disposition"); ok && strings.HasPrefix(strings.ToLower(d), "attachment") {
		return "application/octet-stream"
	}
	return "text/plain"
}

func isTokenRune(r rune) bool {
	return r > ' ' && r < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?=`, r)
}

// isToken tells whether s is a token (RFC 2045 section 5.1).
func isToken(s string) bool {
	for i := range len(s) {
		if !isPlainToken[s[i]] && !isTokenRune(rune(s[i])) {
			return false
		}
	}
	return s != ""
}
