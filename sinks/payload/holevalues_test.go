package payload

import (
	"strings"
	"testing"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

func TestHTMLOfAMailShowsAsTextUnlessItIsSafeHTML(t *testing.T) {
	subject, markup := `<b>1 & 2</b>`, `<p onclick="x()">hi<script>x()</script></p>`
	d := &sinks.Delivery{ID: "msg_1", Message: &parser.Message{Subject: &subject, HTML: &markup, HTMLSafe: &markup}}
	for _, c := range []struct{ source, want string }{
		{`<p>{{ message.subject }}</p>`, `<p>&lt;b&gt;1 &amp; 2&lt;/b&gt;</p>`},
		{`{{ safeHTML(message.html, 100) }}`, `<p>hi</p>`},
		{`{{ message.htmlSafe }}`, `<p>hi</p>`},
		{`{{ safeHTML(message.subject, 9) + message.subject }}`, `&lt;b&gt;1…&lt;/b&gt;&lt;b&gt;1 &amp; 2&lt;/b&gt;`},
		{`<a href="https://example.com/?q={{ urlEncode(message.subject) }}">x</a>`, `<a href="https://example.com/?q=%3Cb%3E1+%26+2%3C%2Fb%3E">x</a>`},
	} {
		text, err := CompileHTML(c.source)
		if err != nil {
			t.Fatalf("%s: %v", c.source, err)
		}
		if got, err := text.FillHTML(d); err != nil || got != c.want {
			t.Errorf("%s gives %s, %v; not %s", c.source, got, err, c.want)
		}
	}
}

func TestHolesWhereAMailCouldChooseALinkOrAScriptAreRefused(t *testing.T) {
	for source, why := range map[string]string{
		`<a href="{{ message.subject }}">x</a>`:            "may not begin with a hole",
		`<a href={{ message.subject }}>x</a>`:              "with quotation marks",
		`<{{ message.subject }}>`:                          "with quotation marks",
		`<script>{{ message.subject }}</script>`:           "<script>",
		`<STYLE>p{}</STYLE>{{ message.subject }}`:          "<style>",
		`<p title="a {{ safeHTML(message.html, 9) }}">x`:   "no place within a tag",
		`<p title='a > {{ message.text }} {{message.x}}'>`: "\"x\" is not a field",
	} {
		if _, err := CompileHTML(source); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", source, err)
		}
	}
}
