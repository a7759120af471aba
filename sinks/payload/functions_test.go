package payload

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestFunctionsMakeWhatTheySay(t *testing.T) {
	d := sinktest.Delivery(t, 1, "From: Zoë <zoe@x.example>\r\nTo: a@x.example, B <b@x.example>\r\nSubject: Order [#1042] über <b>&amp;</b> @all \xf0\x9f\x9a\xa2\r\nDate: Mon, 23 Nov 2026 12:59:40 +0100\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"+
		"<h1>Hi</h1><p>one &amp; <b>two</b> <a href=\"https://x.example/?a=1&amp;b=(2)\">three</a></p><script>x()</script>")
	for hole, want := range map[string]string{
		`truncate("abcdef", 6)`:                                   "abcdef",
		`truncate("abcdef", 5)`:                                   "abcd…",
		`truncate("abc def", 5)`:                                  "abc…",
		`truncate("ab", 0)`:                                       "",
		`truncate("ab", 1)`:                                       "…",
		`truncate("ééééé", 4)`:                                    "ééé…",
		`truncate("e\u0301e\u0301e\u0301", 4)`:                    "e\u0301…",
		"truncate(\"a👨\u200d👩\u200d👧b\", 4)":                      "a…",
		`truncateBytes("ééééé", 9)`:                               "ééé…",
		`truncateBytes("ééééé", 2)`:                               "",
		`truncateUTF16("🚢🚢🚢", 5)`:                                 "🚢🚢…",
		`truncateUTF16("🚢🚢🚢", 6)`:                                 "🚢🚢🚢",
		`slug("Größe: 10 % — Ærøskøbing!", 100)`:                  "grosse-10-aeroskobing",
		`slug("--a  b--", 100)`:                                   "a-b",
		`slug("hello world", 6)`:                                  "hello",
		`slug("日本", 10)`:                                          "",
		`lines("a\nb\nc", 2)`:                                     "a\nb",
		`lines("a", 2)`:                                           "a",
		`join(map(message.to, .email), "; ")`:                     "a@x.example; b@x.example",
		`addresses(message.to)`:                                   "a@x.example, B <b@x.example>",
		`addresses(message.from[0])`:                              "Zoë <zoe@x.example>",
		`addresses(message.cc)`:                                   "",
		`json(message.from)`:                                      `[{"name":"Zoë","email":"zoe@x.example"}]`,
		`replace("a-b-c", "-", "+")`:                              "a+b+c",
		`replace("abc", "", "+")`:                                 "abc",
		`default(message.subject, "none")`:                        "Order [#1042] über <b>&amp;</b> @all 🚢",
		`default(header("X-None"), "none")`:                       "none",
		`default(message.cc[0].name, "none")`:                     "none",
		`default(" \t\u00a0\u2003", "none")`:                      "none",
		`urlEncode("a b&c/ü")`:                                    "a+b%26c%2F%C3%BC",
		`base64("ü")`:                                             "w7w=",
		`sha256("abc")`:                                           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", // FIPS 180-4
		`capture(message.subject, "#([0-9]+)")`:                   "1042",
		`capture(message.subject, "[a-z]+")`:                      "rder",
		`capture(message.subject, "nothing")`:                     "",
		`formatDate(message.sentAt, "02.01.2006 15:04", "")`:      "23.11.2026 12:59",
		`formatDate(message.sentAt, "datetime", "UTC")`:           "2026-11-23 11:59",
		`formatDate(message.sentAt, "time", "Europe/Berlin")`:     "12:59",
		`formatDate(message.receivedAt, "rfc3339", "Asia/Tokyo")`: "2026-11-23T20:59:43+09:00",
		`formatDate(message.bounce.original.subject == nil ? message.sentAt : message.sentAt, "date", "UTC")`: "2026-11-23",
		`escapeHTML(message.subject)`:         "Order [#1042] über &lt;b&gt;&amp;amp;&lt;/b&gt; @all 🚢",
		`escapeMrkdwn(message.subject)`:       "Order [#1042] über &lt;b&gt;&amp;amp;&lt;/b&gt; @all 🚢",
		`escapeMarkdown(message.subject)`:     "Order \\[#1042\\] über \\<b\\>\\&amp;\\</b\\> @\u200ball 🚢",
		`escapeMarkdown("# a *b* _c_ x@y.z")`: "\\# a \\*b\\* \\_c\\_ x@y.z",
		`escapeMarkdown("1. a\n- b\n10) c")`:  "1\\. a\n\\- b\n10\\) c",
		`escapeMarkdown("a\n    b\n\t- c")`:   "a\n\u00a0\u00a0\u00a0\u00a0b\n\u00a0\u00a0\u00a0\u00a0\\- c",
		`plain(message.html)`:                 "Hi\n\none & two three <https://x.example/?a=1&b=(2)>",
		`markdown(message.html, 100)`:         "# Hi\n\none \\& **two** [three](https://x.example/?a=1&b=%282%29)",
		`mrkdwn(message.html, 100)`:           "*Hi*\n\none &amp; *two* <https://x.example/?a=1&amp;b=%282%29|three>",
		`mrkdwn(message.html, 26)`:            "*Hi*\n\none &amp; *two*…",
		`safeHTML(message.html, 1000)`:        `<h1>Hi</h1><p>one &amp; <b>two</b> <a href="https://x.example/?a=1&amp;b=(2)" rel="nofollow noreferrer">three</a></p>`,
		`safeHTML(message.html, 30)`:          `<h1>Hi</h1><p>one &amp; …</p>`,
	} {
		got, _ := rendered(t, templateOf(t, asText, "{{ "+hole+" }}"), d)
		if got != want {
			t.Errorf("%s gives\n%q, not\n%q", hole, got, want)
		}
	}
}

func TestHTMLBecomesTheMarksOfADialect(t *testing.T) {
	for _, c := range []struct{ html, markdown, mrkdwn string }{
		{"a<br>b", "a\nb", "a\nb"},
		{"<p>a</p><p>b</p>", "a\n\nb", "a\n\nb"},
		{"<b>bold </b>text", "**bold** text", "*bold* text"},
		{"<b><i>both</i></b>", "***both***", "*_both_*"},
		{"<b>one<br>two</b>", "**one**\n**two**", "*one*\n*two*"},
		{"<s>gone</s>", "~~gone~~", "~gone~"},
		{"<ul><li>a<li>b<ul><li>c</ul></ul>d", "- a\n- b\n    - c\n\nd", "• a\n• b\n    • c\n\nd"},
		{"<ol><li>a</li><li>b</li></ol>", "1. a\n2. b", "1. a\n2. b"},
		{"<ul><ul><li>a<ul>b</ul></ul></ul><ul><ul>c</ul></ul>", "- a\n  b\n\nc", "• a\n  b\n\nc"},
		{"<ol><li><li>a</ol>", "1. a", "1. a"},
		{"<ol><li><ol><li>a<li>b</ol></ol>", "1. a\n2. b", "1. a\n2. b"},
		{"<ul><li><ol>a</ol></ul>", "- a", "• a"},
		{"<li>a", "a", "a"},
		{"<blockquote>a<br>b</blockquote>c", "> a\n> b\n\nc", "> a\n> b\n\nc"},
		{"<code>x`y&lt;</code>", "`x'y<`", "`x'y&lt;`"},
		{"<h2>T</h2>x", "## T\n\nx", "*T*\n\nx"},
		{`<a href="javascript:alert(1)">x</a>`, "x", "x"},
		{`<a href="https://a.example/|x>y">a|b &gt; c</a>`, `[a\|b \> c](https://a.example/%7Cx%3Ey)`, "<https://a.example/%7Cx%3Ey|a|b &gt; c>"},
		{`<a href="https://a.example/">https://a.example/</a>`, "<https://a.example/>", "<https://a.example/>"},
		{`<a href="https://a.example/"><img src="x"></a>t`, "t", "t"},
		{"&lt;!channel&gt; @all", "\\<!channel\\> @\u200ball", "&lt;!channel&gt; @all"},
		{"<style>p{}</style><script>x</script><title>t</title>y", "y", "y"},
		{"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc", "a b\nc"},
		{"<pre>a  b\n  c\n    - d</pre>", "a  b\n\u00a0\u00a0c\n\u00a0\u00a0\u00a0\u00a0\\- d", "a  b\n  c\n    - d"},
		{"</b></ul></blockquote></a>x", "x", "x"},
	} {
		if got := marked(c.html, 1000, &markdown); got != c.markdown {
			t.Errorf("%s in Markdown is %q", c.html, got)
		}
		if got := marked(c.html, 1000, &mrkdwn); got != c.mrkdwn {
			t.Errorf("%s in mrkdwn is %q", c.html, got)
		}
	}
}

func TestMarksAreClosedWhereverATextEnds(t *testing.T) {
	const text = `<p>one <b>two three <i>four</i></b> <a href="https://x.example/">five</a></p><blockquote>six &amp; seven</blockquote>`
	for n := range 120 {
		for _, d := range []*dialect{&markdown, &mrkdwn} {
			got := marked(text, n, d)
			if size := len(utf16.Encode([]rune(got))); size > n || strings.Count(got, "*")%2 != 0 || strings.Count(got, "_")%2 != 0 {
				t.Errorf("in %d: %q, which has %d", n, got, size)
			}
		}
	}
}

var (
	slugs   = regexp.MustCompile(`^([a-z0-9]+(-[a-z0-9]+)*)?$`)
	quotes  = regexp.MustCompile(`(?m)^(> )+`)
	slackOK = regexp.MustCompile(`^([^<>&]|&amp;|&lt;|&gt;|<(https?://|mailto:|tel:)[^<>|\s]*(\|([^<>&\n]|&amp;|&lt;|&gt;)*)?>)*$`)
)

func FuzzFunctionsKeepTheirLength(f *testing.F) {
	for _, s := range []string{
		"", "abc", "\xff\xfe", "e\u0301\u0301", "👨\u200d👩", "<b>x", "<a href='https://x.example/&lt;'>y</a>", "<ul><li><blockquote><pre>\n\n x", "&amp;&#0;&lt;!channel&gt;",
		"<a href=https://x.example/|b>c", "<p><b><i><s>a b", "<img alt='<!here>'>", "`*_~[](", "<code>`</code>", "<a href=\"mailto:a@b\n\">x", "<title><td><th>",
	} {
		for _, n := range []int{0, 1, 2, 9, 40, 3000} {
			f.Add(s, n)
		}
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 0 || n > 1<<20 {
			return
		}
		hold := func(name, got string, size int) {
			if size > n || !utf8.ValidString(got) {
				t.Fatalf("%s(%q, %d) gives %q, which has %d", name, s, n, got, size)
			}
		}
		inUTF16 := func(s string) int { return len(utf16.Encode([]rune(s))) }
		got := truncate(s, n, runes)
		hold("truncate", got, utf8.RuneCountInString(got))
		got = truncate(s, n, utf8Octets)
		hold("truncateBytes", got, len(got))
		got = truncate(s, n, utf16Units)
		hold("truncateUTF16", got, inUTF16(got))
		got = slug(s, n)
		if hold("slug", got, len(got)); !slugs.MatchString(got) {
			t.Fatalf("slug(%q) gives %q", s, got)
		}
		got = marked(s, n, &mrkdwn)
		if hold("mrkdwn", got, inUTF16(got)); !slackOK.MatchString(quotes.ReplaceAllString(got, "")) {
			t.Fatalf("mrkdwn(%q, %d) gives %q", s, n, got)
		}
		got = marked(s, n, &markdown)
		hold("markdown", got, inUTF16(got))
		got = safeHTML(s, n)
		hold("safeHTML", got, inUTF16(got))
		closed(t, got)
		if got := escapeMrkdwn(s); !slackOK.MatchString(got) {
			t.Fatalf("escapeMrkdwn(%q) gives %q", s, got)
		}
		if got := html.UnescapeString(html.EscapeString(s)); got != s {
			t.Fatalf("%q", got)
		}
		if _, err := base64.StdEncoding.DecodeString(base64.StdEncoding.EncodeToString([]byte(s))); err != nil {
			t.Fatal(err)
		}
	})
}

// markdownOK is a text in which nothing acts in Markdown: what could has a backslash
// before it, and no line begins with the white space of code or a mark of a block.
var markdownOK = regexp.MustCompile("^(?:[^\\\\`*_\\[\\]<>~|&]|\\\\[\\x21-\\x7e])*$")

var markdownBlock = regexp.MustCompile(`(?m)^[\pZ]*([-+#=:]|[0-9]+[.)]|\t)`)

// What a hole gives is right for where it goes, whatever the mail says.
func FuzzFunctionsAreRightForTheirTarget(f *testing.F) {
	for _, s := range []string{"", " ", "abc", "a\r\nb\n", "\xff\xfe", "- a\n1) b\n\t# c", "    code", "\u00a0- x", "# *a* <b> & | [x](y) `c` @all", "a\\", "\x00", "1\n2\n3", "\u2028", "%41+&=", "</script>"} {
		f.Add(s)
	}
	compiled := map[string]*Text{}
	for _, name := range []string{
		"escapeHTML(message.subject)", "escapeMarkdown(message.subject)", "urlEncode(message.subject)", "base64(message.subject)", "sha256(message.subject)",
		"json(message.subject)", "lines(message.subject, 2)", `default(message.subject, "none")`, "plain(message.subject)", `replace(message.subject, "a", "bb")`,
		`join([message.subject, message.subject], "|")`, `capture(message.subject, "[a-z]+")`, "addresses(message.from)", "formatDate(message.sentAt, message.subject, \"UTC\")", "link(message.subject)",
	} {
		text, err := CompileText("{{ " + name + " }}")
		if err != nil {
			f.Fatal(err)
		}
		function, _, _ := strings.Cut(name, "(")
		compiled[function] = text
	}
	f.Fuzz(func(t *testing.T, s string) {
		at := parser.Time{Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
		d := &sinks.Delivery{Message: &parser.Message{Subject: &s, SentAt: &at, From: []parser.Address{{Name: &s, Email: s}}}}
		got := map[string]string{}
		for name, text := range compiled {
			var err error
			if got[name], err = text.Fill(d, nil); err != nil {
				t.Fatalf("%s of %q: %v", name, s, err)
			}
		}
		plain, err := url.QueryUnescape(got["urlEncode"])
		octets, err64 := base64.StdEncoding.DecodeString(got["base64"])
		var value string
		errJSON := json.Unmarshal([]byte(got["json"]), &value)
		for name, wrong := range map[string]bool{
			"escapeHTML":     html.UnescapeString(got["escapeHTML"]) != s || strings.ContainsAny(got["escapeHTML"], "<>\"'"),
			"escapeMarkdown": !markdownOK.MatchString(got["escapeMarkdown"]) || markdownBlock.MatchString(got["escapeMarkdown"]),
			"urlEncode":      err != nil || plain != s || strings.ContainsAny(got["urlEncode"], " &=#"),
			"base64":         err64 != nil || string(octets) != s,
			"sha256":         len(got["sha256"]) != 64,
			"json":           errJSON != nil || value != strings.ToValidUTF8(s, "\uFFFD") && utf8.ValidString(s),
			"lines":          strings.Count(got["lines"], "\n") > 1 || !strings.HasPrefix(s, got["lines"]),
			"default":        strings.TrimSpace(got["default"]) == "",
			"plain":          !utf8.ValidString(got["plain"]) && utf8.ValidString(s),
			"replace":        got["replace"] != strings.ReplaceAll(s, "a", "bb"),
			"join":           got["join"] != s+"|"+s,
			"capture":        !strings.Contains(s, got["capture"]),
			"link":           got["link"] != "",
		} {
			if wrong {
				t.Errorf("%s of %q is %q", name, s, got[name])
			}
		}
	})
}

// closed tells that every element of the HTML that has an end is closed in order,
// and that there is no script in it.
func closed(t *testing.T, s string) {
	t.Helper()
	var open []string
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		kind := z.Next()
		name, _ := z.TagName()
		switch {
		case kind == html.ErrorToken:
			if len(open) > 0 {
				t.Fatalf("%v are open at the end of %q", open, s)
			}
			return
		case kind == html.StartTagToken && !void[string(name)]:
			if string(name) == "script" {
				t.Fatalf("a script in %q", s)
			}
			open = append(open, string(name))
		case kind == html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("%q closes what is not open: %v in %q", name, open, s)
			}
			open = open[:len(open)-1]
		}
	}
}

func TestTheDocumentationNamesEveryFunction(t *testing.T) {
	text, err := os.ReadFile("../../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range functions() {
		if !strings.Contains(string(text), "`"+f.Name+"(") {
			t.Errorf("docs/templates.md does not show %s", f.Name)
		}
	}
}
