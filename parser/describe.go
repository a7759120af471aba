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
	raw, has := pt.header.first("Content-Type")
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
	if raw, ok := pt.header.first("Content-Disposition"); ok {
		pt.disposition, pt.dispParams = p.readParams(raw, where)
		if i := strings.IndexAny(pt.disposition, " \t="); i >= 0 {
			pt.disposition = pt.disposition[:i]
		}
		pt.disposition = strings.Trim(pt.disposition, `"`)
		if pt.disposition == "" && pt.dispParams.has("filename") {
			pt.disposition = "attachment"
		}
	}
	if raw, ok := pt.header.first("Content-Transfer-Encoding"); ok {
		pt.encoding = p.readEncoding(raw, where)
	}
	if pt.isMultipart() {
		p.checkOnce(pt, where)
		pt.boundary = strings.TrimRight(pt.params.get("boundary"), " \t")
		if len(pt.boundary) > maxBoundary {
			pt.boundary = ""
		}
		pt.encoding = encIdentity // RFC 2045 section 6.4
		return
	}
	p.checkOnce(pt, where)
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
	if raw, ok := pt.header.first("Content-ID"); ok {
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

// checkOnce notes the fields that say what a part is and stand twice: software
// that believes the other one sees another mail.
func (p *parse) checkOnce(pt *part, where string) {
	for _, name := range [...]string{"Content-Type", "Content-Transfer-Encoding", "Content-Disposition"} {
		if pt.header.count(name) > 1 {
			p.problem(ProblemDuplicateField, where, name+" stands twice; the first holds")
		}
	}
}

// mediaType makes sense of a media type (RFC 2045 section 5.1).
func (p *parse) mediaType(v string, pt *part, where string) string {
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
	for i := 0; i < len(s); i++ {
		if !isTokenRune(rune(s[i])) {
			return false
		}
	}
	return s != ""
}
