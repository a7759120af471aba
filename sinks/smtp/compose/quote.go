package compose

import (
	"html"
	"strings"

	nethtml "golang.org/x/net/html"

	"github.com/postferry/postferry/parser"
)

// bodyText is what a mail says, as plain text.
func bodyText(m *parser.Message) string {
	switch {
	case m.Text != nil:
		return lf(*m.Text)
	case m.HTMLSafe != nil:
		return parser.HTMLText(*m.HTMLSafe, longestMade)
	}
	return ""
}

// bodyHTML is what a mail says, as HTML that may be shown.
func bodyHTML(m *parser.Message) string {
	if m.HTMLSafe != nil {
		return *m.HTMLSafe
	}
	return asHTML(bodyText(m))
}

// asHTML shows a text as it is.
func asHTML(s string) string {
	return strings.ReplaceAll(html.EscapeString(strings.TrimRight(lf(s), "\n")), "\n", "<br>\n")
}

// quoteText puts the mail below a text, each line behind ">" (RFC 3676, section
// 4.5), a line introducing it.
func quoteText(fresh, attribution string, m *parser.Message) string {
	var b strings.Builder
	b.WriteString(strings.TrimRight(lf(fresh), "\n"))
	b.WriteString("\n\n" + oneLine(attribution) + "\n")
	for line := range strings.SplitSeq(strings.TrimRight(bodyText(m), "\n"), "\n") {
		b.WriteByte('>')
		if line != "" && line[0] != '>' {
			b.WriteByte(' ')
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// quoteHTML does so in HTML, in the manner of the common clients, which fold a
// blockquote of type cite.
func quoteHTML(fresh, attribution string, m *parser.Message) string {
	return fresh + "\n<div>" + html.EscapeString(oneLine(attribution)) + "</div>\n" +
		`<blockquote type="cite" style="margin:0 0 0 .8ex;border-left:1px solid #ccc;padding-left:1ex">` + "\n" + closed(bodyHTML(m), nil) + "\n</blockquote>\n"
}

// closed is safe HTML whose elements are all closed, with none closed that it did
// not open, so that it stays within what is around it. Pictures that are parts of
// the mail are left out unless kept.
func closed(s string, kept map[string]bool) string {
	z := nethtml.NewTokenizer(strings.NewReader(s))
	var b strings.Builder
	var open []string
	for {
		switch kind := z.Next(); kind {
		case nethtml.ErrorToken:
			for i := len(open) - 1; i >= 0; i-- {
				b.WriteString("</" + open[i] + ">")
			}
			return b.String()
		case nethtml.StartTagToken, nethtml.SelfClosingTagToken:
			raw := string(z.Raw())
			token := z.Token()
			if cid, is := cidOf(token); is && !kept[cid] {
				continue
			}
			b.WriteString(raw)
			if kind == nethtml.StartTagToken && !void[token.Data] {
				open = append(open, token.Data)
			}
		case nethtml.EndTagToken:
			name := z.Token().Data
			for i := len(open) - 1; i >= 0; i-- {
				if open[i] == name {
					for ; len(open) > i; open = open[:len(open)-1] {
						b.WriteString("</" + open[len(open)-1] + ">")
					}
					break
				}
			}
		case nethtml.TextToken:
			b.Write(z.Raw())
		}
	}
}

// void are the elements that have no end (HTML, section 13.1.2).
var void = map[string]bool{"area": true, "base": true, "br": true, "col": true, "embed": true, "hr": true, "img": true, "input": true, "link": true, "meta": true, "source": true, "track": true, "wbr": true}

// cidOf is the part of the mail that an element shows (RFC 2392).
func cidOf(t nethtml.Token) (string, bool) {
	if t.Data != "img" {
		return "", false
	}
	for _, a := range t.Attr {
		if cid, is := strings.CutPrefix(a.Val, "cid:"); is && a.Key == "src" {
			return cid, true
		}
	}
	return "", false
}

// shownIn are the parts of the mail that HTML shows.
func shownIn(s string) map[string]bool {
	shown := map[string]bool{}
	for z := nethtml.NewTokenizer(strings.NewReader(s)); ; {
		switch z.Next() {
		case nethtml.ErrorToken:
			return shown
		case nethtml.StartTagToken, nethtml.SelfClosingTagToken:
			if cid, is := cidOf(z.Token()); is {
				shown[cid] = true
			}
		}
	}
}

// forwardedFields are the fields a mail is passed on with, in its text.
func forwardedFields(m *parser.Message) []parser.Header {
	var h []parser.Header
	add := func(name, value string) {
		if value != "" {
			h = append(h, parser.Header{Name: name, Value: oneLine(value)})
		}
	}
	add("From", people(m.From))
	if m.SentAt != nil {
		add("Date", m.SentAt.Format("Mon, 2 Jan 2006 15:04:05 -0700"))
	}
	if m.Subject != nil {
		add("Subject", *m.Subject)
	}
	add("To", people(m.To))
	add("Cc", people(m.CC))
	return h
}

// people is an address list as people read it.
func people(list []parser.Address) string {
	all := make([]string, len(list))
	for i, a := range list {
		all[i] = a.Email
		if a.Name != nil && *a.Name != "" {
			all[i] = *a.Name + " <" + a.Email + ">"
		}
	}
	return strings.Join(all, ", ")
}

const forwardedLine = "---------- Forwarded message ----------"

func forwardText(fresh string, m *parser.Message) string {
	var b strings.Builder
	if fresh = strings.TrimRight(lf(fresh), "\n"); fresh != "" {
		b.WriteString(fresh + "\n\n")
	}
	b.WriteString(forwardedLine + "\n")
	for _, f := range forwardedFields(m) {
		b.WriteString(f.Name + ": " + f.Value + "\n")
	}
	b.WriteString("\n" + strings.TrimRight(bodyText(m), "\n") + "\n")
	return b.String()
}

func forwardHTML(fresh string, m *parser.Message, kept map[string]bool) string {
	var b strings.Builder
	if fresh != "" {
		b.WriteString(fresh + "\n")
	}
	b.WriteString("<div>" + forwardedLine)
	for _, f := range forwardedFields(m) {
		b.WriteString("<br>\n" + f.Name + ": " + html.EscapeString(f.Value))
	}
	b.WriteString("</div>\n<br>\n<div>\n" + closed(bodyHTML(m), kept) + "\n</div>\n")
	return b.String()
}
