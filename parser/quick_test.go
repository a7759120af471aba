package parser

import (
	"reflect"
	"strings"
	"testing"
)

// The quick readers read what is written as most mail has it, and give up at the
// rest. Wherever they do not, they say what the slow ones say, without a problem.

func checkQuickAddresses(t testing.TB, s string) bool {
	t.Helper()
	got, ok := quickAddresses([]Address{}, s, 100)
	if !ok {
		return false
	}
	p := newParse()
	p.lim.Addresses = 100
	if want := p.addressList([]Address{}, s, "header To"); !reflect.DeepEqual(got, want) || len(p.msg.Problems) > 0 {
		t.Errorf("%q:\nquick %s\n slow %s %v", s, showAddresses(got), showAddresses(want), p.msg.Problems)
	}
	return true
}

func showAddresses(list []Address) string {
	var out []string
	for _, a := range list {
		out = append(out, str(a.Name)+" <"+a.Email+">")
	}
	return strings.Join(out, ", ")
}

func checkQuickDate(t testing.TB, s string) bool {
	t.Helper()
	got, ok := quickDate(s)
	if !ok {
		return false
	}
	want, fine := slowDate(s)
	if (Time{got}).String() != (Time{want}).String() || !fine {
		t.Errorf("%q: quick %s, slow %s %t", s, got, want, fine)
	}
	return true
}

func checkQuickParams(t testing.TB, s string) bool {
	t.Helper()
	value, ps, ok := quickParams(s, 100)
	if !ok {
		return false
	}
	p := newParse()
	if want, all := p.slowParams(s, "header"); value != want || len(ps) != len(all) || len(ps) > 0 && !reflect.DeepEqual(ps, all) || len(p.msg.Problems) > 0 {
		t.Errorf("%q:\nquick %q %v\n slow %q %v %v", s, value, ps, want, all, p.msg.Problems)
	}
	return true
}

func TestTheQuickReadersSayWhatTheSlowOnesSay(t *testing.T) {
	for s, quick := range map[string]bool{
		"ada@example.com": true, "<ada@example.com>": true, "Ada Byron <ada@example.com>": true, `"Byron, Ada (Dr.)" <ada@example.com>, b@c`: true, "Ada B. Byron <a@b> , c@d": true, "A <a@b>, B <c@d>": true,
		"": false, "a": false, "a@b,": false, "a@b c@d": false, "a@b; c@d": false, "A: a@b;": false, "A (b) <c@d>": false, `"A\"" <b@c>`: false, `"" <a@b>`: false, "=?utf-8?q?a?= <b@c>": false, "a@b.": false, "<a@b": false, "<<a@b>>": false,
		"\u00e4 <a@b>": false, "@a": false, "a@": false, "a@b@c": false, "A <@a:b@c>": false, "mailto:a@b": false, "'A' <b@c>": false, `"A"<b@c>`: false, "A, B <a@b>": false, "A <b>": false,
	} {
		if ok := checkQuickAddresses(t, s); ok != quick {
			t.Errorf("addresses %q: known %t", s, ok)
		}
	}
	for s, quick := range map[string]bool{
		"Tue, 24 Nov 2026 10:00:00 +0100": true, "1 Jan 1970 00:00:60 -0000": true, "tue, 4 nov 2026 10:00:00 -2359": true, "Tue, 24 Nov 2026 10:00:00 +0100 (CET)": true, "31 Feb 2026 10:00:00 +0530": true,
		"": false, "Tue, 24 Nov 2026 10:00:00 GMT": false, "Tue, 24 Nov 26 10:00:00 +0100": false, "Tue, 24 Nov 2026 10:00 +0100": false, "Tue 24 Nov 2026 10:00:00 +0100": false, "Tue,  4 Nov 2026 10:00:00 +0100": false, "24 Nov 2026 24:00:00 +0100": false,
		"0 Nov 2026 10:00:00 +0100": false, "24 Nov 2026 10:00:00 +0100 x": false, "24 Nov 2026 10:00:00 ~0100": false, "Xxx, 24 Nov 2026 10:00:00 +0100": false, "24 Xxx 2026 10:00:00 +0100": false, "24 Nov 2026 10:00:00 +0100 (a(b)": false,
	} {
		if ok := checkQuickDate(t, s); ok != quick {
			t.Errorf("date %q: known %t", s, ok)
		}
	}
	for s, quick := range map[string]bool{
		"text/plain": true, "Text/Plain; charset=UTF-8": true, `text/plain; charset="utf-8"; format=flowed; `: true, `multipart/mixed; boundary="=_a b?="`: true, `attachment; filename="a (b).pdf"`: true, "base64": true, "a/b;c=d:e/f": true,
		"": false, "text/plain; charset": false, "text/plain charset=a": false, "a/b; c=d; c=e": false, "a/b; c*=utf-8''d": false, "a/b; c=d e": false, `a/b; c="d`: false, `a/b; c="d\e"`: false, `a/b; c="=?utf-8?q?d?="`: false, "a/b (c)": false, "a/b; c=\u00e4": false, `a/b; c="d"e`: false,
		"a/b;; c=d": false, "; a=b": false, "a/b; c=": false,
	} {
		if ok := checkQuickParams(t, s); ok != quick {
			t.Errorf("parameters %q: known %t", s, ok)
		}
	}
}

// TestTheQuickReadersReadMostFieldsOfTheCorpus keeps them worth their lines.
func TestTheQuickReadersReadMostFieldsOfTheCorpus(t *testing.T) {
	all, quick := map[string]int{}, map[string]int{}
	count := func(kind string, ok bool) {
		all[kind]++
		if ok {
			quick[kind]++
		}
	}
	for _, mail := range corpus(t) {
		p := newParse()
		p.src = newSource(strings.NewReader(string(mail)), int64(len(mail)))
		h, _ := p.readHeader(p.begin(), "header")
		p.src.release()
		for _, f := range h {
			switch strings.ToLower(f.name) {
			case "from", "to", "cc", "reply-to", "sender":
				count("addresses", checkQuickAddresses(t, f.value))
			case "date":
				count("dates", checkQuickDate(t, f.value))
			case "content-type", "content-disposition":
				count("parameters", checkQuickParams(t, f.value))
			}
			checkQuickAddresses(t, f.value)
			checkQuickDate(t, f.value)
			checkQuickParams(t, f.value)
		}
	}
	for kind, n := range all {
		t.Logf("%s: %d of %d", kind, quick[kind], n)
		if quick[kind]*10 < n*6 {
			t.Errorf("%s: only %d of %d", kind, quick[kind], n)
		}
	}
}

func FuzzQuick(f *testing.F) {
	for _, s := range []string{`Ada <a@b>, "B, C" <d@e>, f@g`, "Tue, 24 Nov 2026 10:00:00 +0100 (CET)", `text/plain; charset="utf-8"; a=b`, "a@b", "1 Jan 1970 00:00:00 -0000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkQuickAddresses(t, s)
		checkQuickDate(t, s)
		checkQuickParams(t, s)
	})
}
