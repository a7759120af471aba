package payload

import (
	"strings"

	"golang.org/x/net/html"

	"github.com/postferry/postferry/internal/expr"
	"github.com/postferry/postferry/parser"
)

// safeHTML is HTML that may be shown, in at most n units of UTF-16: no element,
// attribute or character reference is cut in two, and elements that are open where
// there is no room left are closed.
func safeHTML(s string, n int) string {
	z := html.NewTokenizer(strings.NewReader(parser.SafeHTML(strings.ToValidUTF8(s, "\uFFFD"), expr.MaxText)))
	var out strings.Builder
	var open []string // ends of the elements that are open
	size, ends := 0, 0
	put := func(piece string, later int) bool {
		if size+measure(piece)+ends+later+1 > n {
			return false
		}
		out.WriteString(piece)
		size += measure(piece)
		return true
	}
	finish := func(cut bool) string {
		if cut && n > 0 {
			out.WriteRune(ellipsis)
		}
		for i := len(open) - 1; i >= 0; i-- {
			out.WriteString(open[i])
		}
		return out.String()
	}
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return finish(false)
		case html.TextToken:
			for _, r := range strings.ToValidUTF8(string(z.Text()), "\uFFFD") {
				if !put(html.EscapeString(string(r)), 0) {
					return finish(true)
				}
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			raw := string(z.Raw())
			name, _ := z.TagName()
			end := ""
			if kind == html.StartTagToken && !void[string(name)] {
				end = "</" + string(name) + ">"
			}
			if !put(raw, len(end)) {
				return finish(true)
			}
			if end != "" {
				open, ends = append(open, end), ends+len(end)
			}
		case html.EndTagToken:
			raw := "</" + tagName(z) + ">"
			if i := len(open) - 1; i >= 0 && open[i] == raw { // what was not open is not closed
				open, ends = open[:i], ends-len(raw)
				out.WriteString(raw)
				size += len(raw)
			}
		}
	}
}

func tagName(z *html.Tokenizer) string {
	name, _ := z.TagName()
	return string(name)
}

// void are the elements that have no end (HTML, section 13.1.2).
var void = map[string]bool{"area": true, "base": true, "br": true, "col": true, "embed": true, "hr": true, "img": true, "input": true, "link": true, "meta": true, "source": true, "track": true, "wbr": true}
