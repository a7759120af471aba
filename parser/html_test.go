package parser

import (
	"strings"
	"testing"
)

func TestHTMLBecomesText(t *testing.T) {
	for _, c := range []struct{ fact, in, want string }{
		{"paragraphs", "<p>a</p><p>b</p>", "a\n\nb"},
		{"line breaks", "a<br>b<br/>c", "a\nb\nc"},
		{"blocks", "<div>a</div><div>b</div>", "a\nb"},
		{"white space", "  a \n\t b  ", "a b"},
		{"white space across tags", "<b>a</b> <i>b</i>", "a b"},
		{"no white space across tags", "<b>a</b><i>b</i>", "ab"},
		{"entities", "&lt;a&gt; &amp; &auml; &#8364;", "<a> & ä €"},
		{"scripts, styles, titles", "<title>x</title><style>y</style><script>z</script>a", "a"},
		{"comments", "a<!-- b -->c", "ac"},
		{"a list", "<ul><li>a</li><li>b</li></ul>c", "- a\n- b\n\nc"},
		{"a numbered list", "<ol><li>a<li>b</ol>", "1. a\n2. b"},
		{"lists in lists", "<ul><li>a<ul><li>b</ul></ul>", "- a\n  - b"},
		{"a table", "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"},
		{"a quote", "a<blockquote>b<br>c<blockquote>d</blockquote></blockquote>e", "a\n\n> b\n> c\n>\n> > d\n\ne"},
		{"a link", `<a href="https://a.example/x">here</a>`, "here <https://a.example/x>"},
		{"a link that says where it leads", `<a href="https://a.example/">a.example</a>`, "a.example"},
		{"a link to mail", `<a href="mailto:a@b.example">a@b.example</a>`, "a@b.example"},
		{"a link that acts", `<a href="javascript:x()">here</a>`, "here"},
		{"a picture", `<img alt="a cat" src=x>`, "a cat"},
		{"preformatted text", "<pre>a\n  b</pre>c", "a\n  b\n\nc"},
		{"a rule", "a<hr>b", "a\n________________________________\nb"},
		{"a tag that never ends", "a<b", "a"},
		{"headings", "<h1>a</h1>b", "a\n\nb"},
		{"nothing", "", ""},
	} {
		if got := htmlText(c.in, true, 1<<20); got != c.want {
			t.Errorf("%s: got %q, want %q", c.fact, got, c.want)
		}
	}
	if got := htmlText("<p>"+strings.Repeat("word ", 100), true, 20); len(got) > 20 {
		t.Errorf("limit 20, got %d", len(got))
	}
}

// TestSafeHTMLDoesNothing gives the sanitiser what has harmed other programs. What
// comes out must hold no way to run a script, load a frame or send a form.
func TestSafeHTMLDoesNothing(t *testing.T) {
	for _, in := range []string{
		`<script>alert(1)</script>`, `<SCRIPT SRC=//evil.example/x.js></SCRIPT>`, `<img src=x onerror=alert(1)>`, `<img src="javascript:alert(1)">`, `<a href="javascript:alert(1)">x</a>`,
		`<a href="jav&#x09;ascript:alert(1)">x</a>`, `<a href=" &#14; javascript:alert(1)">x</a>`, `<a href="data:text/html,<script>alert(1)</script>">x</a>`, `<a href="vbscript:x">x</a>`,
		`<iframe src="https://evil.example"></iframe>`, `<object data=x></object>`, `<embed src=x>`, `<form action=x><input name=y></form>`, `<button onclick=x>`, `<svg onload=alert(1)>`,
		`<svg><script>alert(1)</script></svg>`, `<math><mi xlink:href="javascript:alert(1)">`, `<style>@import "x"</style>`, `<p style="background:url(javascript:alert(1))">`, `<div style="width:expression(alert(1))">`,
		`<link rel=stylesheet href=x>`, `<meta http-equiv=refresh content="0;url=x">`, `<base href=x>`, `<body onload=x>`, `<table background="javascript:x">`, `<noscript><p title="</noscript><img src=x onerror=alert(1)>">`,
		`<<script>script>alert(1)</script>`, `<img """><script>alert(1)</script>">`, `<img src=x:alert(alt) onerror=eval(src) alt=0>`, `<template><script>x</script></template>`, `<marquee onstart=x>`,
		`<video><source onerror=x></video>`, `<isindex action=x>`, `<a href="//evil.example" target=_blank onmouseover=x>y</a>`, `<textarea><img src=x onerror=x></textarea>`, "<img src=`x` onerror=x>",
		`<img srcset="https://evil.example/x 1x">`, `<img src="data:image/svg+xml;base64,PHN2Zz4=">`, `<form id=x></form><button form=x formaction="javascript:x">`,
	} {
		got := strings.ToLower(safeHTML(in, 1<<20))
		for _, bad := range []string{"<script", "onerror", "onload", "onclick", "onmouseover", "onstart", "javascript:", "vbscript:", "<iframe", "<object", "<embed", "<form", "<input", "<button", "<svg", "<math", "<style", "style=", "<link", "<meta", "<base", "background=", "srcset", "data:text", "data:image/svg", "formaction", "expression("} {
			// Text that was escaped is harmless.
			if strings.Contains(strings.ReplaceAll(got, "&lt;", ""), bad) && strings.Contains(got, "<") {
				t.Errorf("%s\nleft %s", in, got)
			}
		}
	}
}

func TestSafeHTMLKeepsWhatIsRead(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`<p>a <b>b</b></p>`, `<p>a <b>b</b></p>`},
		{`<img src="cid:a@b" alt="c" width="10">`, `<img src="cid:a@b" alt="c" width="10">`},
		{`<a href="https://a.example/?x=1&amp;y=2">z</a>`, `<a href="https://a.example/?x=1&amp;y=2" rel="nofollow noreferrer">z</a>`},
		{`<table bgcolor="#fff"><tr><td align="center">x</td></tr></table>`, `<table bgcolor="#fff"><tr><td align="center">x</td></tr></table>`},
		{`<img src="data:image/png;base64,QUJD">`, `<img src="data:image/png;base64,QUJD">`},
		{`<blockquote>x</blockquote>`, `<blockquote>x</blockquote>`},
		{`<font color="red">x</font>`, `<font color="red">x</font>`},
	} {
		if got := safeHTML(c.in, 1<<20); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.in, got, c.want)
		}
	}
}
