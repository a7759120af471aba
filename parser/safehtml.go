package parser

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/microcosm-cc/bluemonday"
)

// safeHTML is HTML without what acts: scripts, forms, styles, frames, handlers
// of events, and links to anything but the web, mail, telephones and the parts
// of the mail itself. Pictures from the web stay, so showing it may tell the
// sender so.
//
// No more than limit octets are made; what is beyond is left out.
func safeHTML(s string, limit int) string {
	if out, ok := quickHTML(s, limit); ok {
		return out
	}
	return policyHTML(s, limit)
}

// policyHTML is safeHTML by the sanitiser alone.
func policyHTML(s string, limit int) string {
	w := limitedWriter{limit: limit}
	w.out.Grow(min(len(s), limit) + 64)
	_ = safePolicy().SanitizeReaderToWriter(strings.NewReader(s), &w) // it fails only where w is full
	return w.out.String()
}

// sanitise is what the policy makes of a piece of HTML.
func sanitise(s string) string { return policyHTML(s, 16*len(s)+1024) }

// limitedWriter takes what is written as long as all of it fits. The sanitiser
// writes whole tags, so none is cut in two.
type limitedWriter struct {
	out   strings.Builder
	limit int
}

var errFull = errors.New("the limit is reached")

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.out.Len()+len(p) > w.limit {
		w.limit = 0
		return 0, errFull
	}
	return w.out.Write(p)
}

func (w *limitedWriter) WriteString(s string) (int, error) {
	if w.out.Len()+len(s) > w.limit {
		w.limit = 0
		return 0, errFull
	}
	return w.out.WriteString(s)
}

// dataImage is a picture inside the HTML. SVG is none here: it may act.
var dataImage = regexp.MustCompile(`^image/(gif|jpeg|png|webp);base64,[A-Za-z0-9+/=%\s]*$`)

// safePolicy is built once: it is read only after that.
var safePolicy = sync.OnceValue(func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowStandardAttributes()
	p.AllowURLSchemes("http", "https", "mailto", "tel", "cid")
	p.RequireParseableURLs(true)
	p.AllowRelativeURLs(false)
	p.AllowElements("p", "div", "span", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "b", "strong", "i", "em", "u", "s", "strike", "del", "ins", "sub", "sup",
		"small", "big", "tt", "code", "kbd", "samp", "var", "abbr", "cite", "q", "mark", "pre", "address", "center", "dl", "dt", "dd", "section", "article", "figure", "figcaption", "wbr")
	p.AllowAttrs("href").OnElements("a")
	p.AllowElements("a")
	p.RequireNoReferrerOnLinks(true)
	p.RequireNoFollowOnLinks(true)
	p.AllowAttrs("cite").OnElements("blockquote", "q")
	p.AllowElements("blockquote")
	p.AllowLists()
	p.AllowTables()
	p.AllowImages()
	p.AllowURLSchemeWithCustomPolicy("data", func(u *url.URL) bool { return dataImage.MatchString(u.Opaque) })
	colour := regexp.MustCompile(`^(#[0-9A-Fa-f]{3,8}|[A-Za-z]{3,30})$`)
	number := regexp.MustCompile(`^[0-9]{1,5}(%|px)?$`)
	p.AllowAttrs("color").Matching(colour).OnElements("font")
	p.AllowAttrs("size").Matching(regexp.MustCompile(`^[+-]?[0-9]$`)).OnElements("font")
	p.AllowAttrs("face").Matching(regexp.MustCompile(`^[A-Za-z0-9 ,-]{1,200}$`)).OnElements("font")
	p.AllowAttrs("bgcolor").Matching(colour).OnElements("table", "tr", "td", "th")
	p.AllowAttrs("border", "cellpadding", "cellspacing", "width", "height").Matching(number).OnElements("table", "tr", "td", "th", "img", "hr")
	return p
})
