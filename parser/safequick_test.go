package parser

import (
	"strings"
	"testing"
)

// checkQuick holds quickHTML to the sanitiser, wherever it does not give up.
func checkQuick(t testing.TB, s string, limits ...int) bool {
	t.Helper()
	ok := false
	for _, limit := range append(limits, 1<<20) {
		got := ""
		if got, ok = quickHTML(s, limit); ok {
			if want := policyHTML(s, limit); got != want {
				t.Errorf("%q, %d octets:\n quick %q\npolicy %q", clip(s, 2000), limit, clip(got, 2000), clip(want, 2000))
			}
		}
	}
	return ok
}

func TestQuickHTMLIsWhatTheSanitiserMakes(t *testing.T) {
	for _, c := range []struct {
		html  string
		quick bool // it is to know this, not to give up
	}{
		{"", true}, {"a b", true}, {"<p>a</p>", true}, {"<P CLASS=x>a</P>", true}, {"a &amp; b &nbsp;&lt;c&gt; &unknown; &copy &#39;\"'", true},
		{"<p style='color:red' onclick=\"x('<b>')\">a", true}, {"<br/><br /><hr>", true}, {"</p></br></b>", true}, {"<o:p>a</o:p><x-y>b</x-y>", true},
		{"<!DOCTYPE html><html><head><title>t &lt;</title><style>p > a {}</style></head><body bgcolor=red>a</body></html>", true},
		{"<!-- a -- b --><![if !mso]>b<![endif]><!--[if mso]><p>c<![endif]-->", true}, {"<script>a<b</script>c", true},
		{`<a href="https://example.com/a?b=c&amp;d">e</a>`, true}, {`<a href="javascript:x">e</a></a>`, true}, {"<a>b<a name=c>d</a>e</a>f</a>", true}, {`<a href="http://a/" href="http://b/" id=c>d</a>`, true},
		{`<a href="http://example.com">a</a><a href="https://example.com/a/b_c~d.html?e=f%20g+h&amp;i=j:k,l" target="_blank" style="m">n</a><a href="http://a/?">b</a><a href="http://a/#">b</a><a href="http://a/?b&c">d</a><a href="http://a:80/%2f">b</a><a href="HTTP://A/">b</a><a href="http://a?b">c</a>`, true},
		{"<STYLE></STYLE><Title></a></TITLE>b", true},
		{`<img src="cid:a" width=5 height="6px" alt="b c"><img><img src="data:image/png;base64,AAAA"><img src=x />`, true},
		{`<table width="600" border=0 cellpadding="0"><tr><td align="center" valign=top nowrap>a</td></tr></table>`, true},
		{"<font color=red>a</font><font>b</font><big>c</big>", true}, {"<ol type=1><li value=3 type=i>a</ol>", true},
		{"<blockquote cite=\"http://a/\">b</blockquote><q cite='javascript:b'>c</q>", true}, {"<p id=a title='b' dir=ltr lang=en>c", true},
		{"<a href= b>c", false}, {"<a href =b>c", false}, {"<a class= id=b>c", false}, {"<a href=b/>c", false}, {"<a href=\"b\"id=c>d", false},
		{"a < b", false}, {"<", false}, {"<3", false}, {"<a", false}, {"<a href=\"b", false}, {"<!--> a -->", false}, {"<!---> a -->", false}, {"<!-- a --!> b -->", false}, {"<!-- a", false},
		{"<textarea><p></textarea>", false}, {"<plaintext><p>", false}, {"<xmp><p></xmp>", false}, {"<iframe><p></iframe>a", false}, {"<noscript><p>a</noscript>", false}, {"<object>a</object>b", false},
		{"<title>a</title x>b</title>c", false}, {"<style>a</STYLE >b", false}, {"<script><!--<script></script>--></script>a", false}, {"<style/>a</style>b", false}, {"</title>a<title>b</title>c", false},
		{"<p\x00>", false}, {"a\rb", false}, {"<p/a>b", false}, {"<?xml version=1?>a", false}, {"</ p>a", false}, {"</p class=a>b", false}, {"<a\u00e4>b</a\u00e4>", false},
	} {
		if ok := checkQuick(t, c.html, 20); ok != c.quick {
			t.Errorf("%q: known %t, want %t", c.html, ok, c.quick)
		}
	}
}

// TestQuickHTMLKnowsWhichAttributesThePolicyKeeps puts every attribute the policy
// may keep, and many it does not, on every element, with values of all kinds.
func TestQuickHTMLKnowsWhichAttributesThePolicyKeeps(t *testing.T) {
	names := strings.Fields("style class target rel name action background data-x xmlns role aria-label onclick srcset poster longdesc datetime open label for media compact start reversed char clear hspace vspace usemap ismap sizes loading face rules frame coords shape axis")
	dropped := len(names)
	for name := range keptAttributes {
		names = append(names, name)
	}
	values := []string{"", "5px", "50%", "5", "left", "top", "ltr", "http://a/b?c&amp;d", "cid:", "javascript:a", "#fff", "#00aaFF", "a b", "mailto:a@b.example", "en-US", "Arial,Times"}
	for element, kind := range elementKinds() {
		if kind == elementDropped || kind == elementHidden {
			continue
		}
		for i, name := range names {
			few := values
			if i < dropped {
				few = values[3:5]
			}
			for _, value := range few {
				checkQuick(t, "<"+element+" "+name+`="`+value+`" class=x>a</`+element+">b</"+element+">")
			}
			checkQuick(t, "<"+element+" "+name+"/>a</"+element+">")
		}
	}
}

// TestMostHTMLOfTheCorpusIsSanitisedTheQuickWay keeps quickHTML worth its lines.
func TestMostHTMLOfTheCorpusIsSanitisedTheQuickWay(t *testing.T) {
	all, quick := 0, 0
	for path, mail := range corpus(t) {
		m := parseOctets(t, mail, Limits{})
		if m.HTML == nil {
			continue
		}
		all++
		if checkQuick(t, *m.HTML) {
			quick++
		} else if testing.Verbose() {
			t.Logf("%s is not", path)
		}
	}
	t.Logf("%d of %d", quick, all)
	if quick*10 < all*7 {
		t.Errorf("%d of %d", quick, all)
	}
}

func FuzzQuickHTML(f *testing.F) {
	for _, s := range []string{"<p class=a>b</p>&amp;&lt", `<a href="http://a/" style=b>c</a><img src="cid:d" width=5 />`, "<!-- a --><title>b</title><style>c</style><script>d</script>", "<font>a</font></font><o:p>b</o:p>", "<td nowrap align='left'>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkQuick(t, s, 20) })
}
