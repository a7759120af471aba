package payload

import (
	"net/url"
	"strings"
	"unicode"
)

// dialect is one of the languages in which chats and ticket systems take
// formatted text.
type dialect struct {
	bold, italic, strike string
	bullet               string
	heading              string                                           // before one, for each level; "" writes it in bold
	escape               func(before rune, r rune, lineStart bool) string // of a character; before is the one before it, 0 at the beginning of a word
	link                 func(address, label string) string               // label is escaped
}

// markdown is CommonMark as GitHub, GitLab, Mattermost, Zulip and Discord read it.
var markdown = dialect{bold: "**", italic: "*", strike: "~~", bullet: "- ", heading: "#", escape: escapeMarkdownRune, link: func(address, label string) string {
	if label == "" {
		return "<" + address + ">"
	}
	return "[" + label + "](" + address + ")"
}}

// mrkdwn is Slack's (https://docs.slack.dev/messaging/formatting-message-text).
var mrkdwn = dialect{bold: "*", italic: "_", strike: "~", bullet: "• ", escape: escapeMrkdwnRune, link: func(address, label string) string {
	address = strings.ReplaceAll(address, "&", "&amp;") // it has none of < and >
	if label == "" {
		return "<" + address + ">"
	}
	return "<" + address + "|" + label + ">"
}}

// escapeMarkdownRune puts a backslash before what would act (CommonMark 0.31,
// section 2.4), and a space without width behind an @ that would call somebody.
// Spaces at the beginning of a line do not break, or four of them would make code of
// it (section 4.4), in which backslashes are seen.
func escapeMarkdownRune(before, r rune, lineStart bool) string {
	switch {
	case lineStart && r == ' ':
		return "\u00A0"
	case lineStart && r == '\t':
		return "\u00A0\u00A0\u00A0\u00A0"
	case strings.ContainsRune("\\`*_[]<>~|&", r), lineStart && strings.ContainsRune("#+-=:", r):
		return `\` + string(r)
	case (r == '.' || r == ')') && lineStart && unicode.IsDigit(before):
		return `\` + string(r)
	case r == '@' && !unicode.IsLetter(before) && !unicode.IsDigit(before):
		return "@\u200B"
	}
	return string(r)
}

// escapeMrkdwnRune escapes the three characters Slack wants escaped.
func escapeMrkdwnRune(_, r rune, _ bool) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	}
	return string(r)
}

// escapeMarkdown makes a plain text one that Markdown shows as it is.
func escapeMarkdown(s string) string { return escapeAll(s, &markdown) }

// escapeMrkdwn makes a plain text one that Slack shows as it is, save * _ ~ and
// backticks, for which it has no escape.
func escapeMrkdwn(s string) string { return escapeAll(s, &mrkdwn) }

func escapeAll(s string, d *dialect) string {
	var b strings.Builder
	before, start := rune(0), true
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		b.WriteString(d.escape(before, r, start))
		switch {
		case r == '\n':
			start = true
		case start && unicode.IsDigit(r), start && unicode.IsSpace(r):
		default:
			start = false
		}
		before = r
	}
	return b.String()
}

// address is a link's address as it may stand in both dialects; "" where it leads
// to nothing but the web, mail or a telephone.
func address(href string) string {
	u, err := url.Parse(strings.TrimSpace(href))
	if err != nil {
		return ""
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return ""
		}
	case "mailto", "tel":
	default:
		return ""
	}
	var b strings.Builder
	for _, c := range []byte(u.String()) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("<>()|\\\"`*[]{}^", c) >= 0 {
			b.WriteString("%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15]))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
