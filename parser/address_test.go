package parser

import (
	"strings"
	"testing"
)

// show writes addresses as name <email>, parted by bars.
func show(list []Address) string {
	var out []string
	for _, a := range list {
		if a.Name == nil {
			out = append(out, a.Email)
		} else {
			out = append(out, *a.Name+" <"+a.Email+">")
		}
	}
	return strings.Join(out, " | ")
}

// TestAddressesAreReadAsRFC5322Shows has the address lists of RFC 5322 appendix A.
func TestAddressesAreReadAsRFC5322Shows(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"John Doe <jdoe@machine.example>", "John Doe <jdoe@machine.example>"},                       // A.1.1
		{`"Joe Q. Public" <john.q.public@example.com>`, "Joe Q. Public <john.q.public@example.com>"}, // A.1.2
		{"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>", "Mary Smith <mary@x.test> | jdoe@example.org | Who? <one@y.test>"},
		{`<boss@nil.test>, "Giant; \"Big\" Box" <sysservices@example.net>`, `boss@nil.test | Giant; "Big" Box <sysservices@example.net>`},
		{"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;", "Ed Jones <c@a.test> | joe@where.test | John <jdoe@one.test>"}, // A.1.3
		{"Undisclosed recipients:;", ""},
		{"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete <pete@silly.test>"}, // A.5
		{"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
			"Chris Jones <c@public.example> | joe@example.org | John <jdoe@one.test>"},
		{"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", ""},
		{"Joe Q. Public <john.q.public@example.com>", "Joe Q. Public <john.q.public@example.com>"}, // A.6.1
		{"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example", "Mary Smith <mary@example.net> | jdoe@test.example"},
	} {
		m := read(t, "To: "+c.in, "", "x")
		if m.To == nil {
			t.Errorf("%s: null", c.in)
		}
		if got := show(m.To); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.in, got, c.want)
		}
	}
}

func TestOneBadAddressLosesNoOther(t *testing.T) {
	for _, c := range []struct{ fact, in, want, codes string }{
		{"a comma in a name", "Doe, John <j@a.test>, b@a.test", "Doe, John <j@a.test> | b@a.test", ProblemBadAddress},
		{"two commas in a name", "Doe, John, Dr. <j@a.test>", "Doe, John, Dr. <j@a.test>", ProblemBadAddress},
		{"a colon in a name", "a: b <j@a.test>, b@a.test", "a: b <j@a.test> | b@a.test", ""},
		{"a slash in a name", "a/b <j@a.test>", "a/b <j@a.test>", ""},
		{"an at in a name", "a@b <j@a.test>", "a@b <j@a.test>", ""},
		{"square brackets in a name", "[a] b <j@a.test>", "[a] b <j@a.test>", ""},
		{"brackets twice", "<<j@a.test>>, b@a.test", "j@a.test | b@a.test", ""},
		{"the bracket never closes", "a <j@a.test, b@a.test", "a <j@a.test> | b@a.test", ""},
		{"quotes unbalanced", `"a <j@a.test>, b@a.test`, "a <j@a.test> | b@a.test", ""},
		{"quotes unbalanced, and the next are not", `"a <j@a.test>, "b" <b@a.test>`, "a <j@a.test> | b <b@a.test>", ""},
		{"two dots", "a..b@a.test", "a..b@a.test", ""},
		{"a dot before the at", "ab.@docomo.test", "ab.@docomo.test", ""},
		{"a dot at the end", "a@a.test.", "a@a.test", ""},
		{"a second group", "A:a@a.test;, B:b@a.test;", "a@a.test | b@a.test", ""},
		{"a semicolon between", "a@a.test; b@a.test", "a@a.test | b@a.test", ""},
		{"words without an address", "nobody at all, b@a.test", "nobody at all | b@a.test", ProblemBadAddress},
		{"a local name", "root, b@a.test", "root | b@a.test", ProblemBadAddress},
		{"nothing", "", "", ""},
		{"a group without its colon", "undisclosed-recipients;", "", ProblemBadAddress},
		{"a group without its colon, in brackets", "<Undisclosed Recipients>, a@a.test", "a@a.test", ProblemBadAddress},
		{"a quote alone", `", a@a.test`, "a@a.test", ProblemBadAddress},
		{"the name after it", "j@a.test (John Doe)", "John Doe <j@a.test>", ""},
		{"the name before it without brackets", "John Doe j@a.test", "John Doe <j@a.test>", ""},
		{"an encoded-word", "=?utf-8?Q?J=C3=B6rg?= <j@a.test>", "Jörg <j@a.test>", ""},
		{"an encoded-word with a comma", "=?utf-8?Q?Doe=2C_J=C3=B6rg?= <j@a.test>, b@a.test", "Doe, Jörg <j@a.test> | b@a.test", ""},
		{"an encoded-word in quotes", `"=?utf-8?Q?J=C3=B6rg?=" <j@a.test>`, "Jörg <j@a.test>", ""},
		{"raw Latin-1", "J\xf6rg <j@a.test>, b@a.test", "Jörg <j@a.test> | b@a.test", ProblemRaw8Bit},
		{"raw UTF-8 in the address (RFC 6532)", "j\xc3\xb6rg@a.test", "jörg@a.test", ProblemRaw8Bit},
		{"a quoted local part", `"john doe"@a.test`, `"john doe"@a.test`, ""},
		{"a quoted local part in brackets", `John <"john doe"@a.test>`, `John <"john doe"@a.test>`, ""},
		{"a comma in a quoted local part", `"john,doe"@a.test, b@a.test`, `"john,doe"@a.test | b@a.test`, ""},
		{"a domain literal", "j@[192.0.2.1]", "j@[192.0.2.1]", ""},
		{"the address as its own name", `"j@a.test" <j@a.test>`, "j@a.test <j@a.test>", ""},
		{"mailto", "<mailto:j@a.test>", "j@a.test", ""},
		{"single quotes", "'j@a.test' <j@a.test>", "j@a.test <j@a.test>", ""},
		{"white space in the brackets", "a < j@a.test >", "a <j@a.test>", ""},
		{"no comma between two", "a@a.test b@b.test, c@c.test", "a@a.test | b@b.test | c@c.test", ProblemBadAddress},
		{"an at in a name without brackets", "a@b.test Ada c@c.test", "a@b.test Ada <c@c.test>", ""},
		{"an obsolete route (RFC 5322 section 4.4)", "a <@b.test,@c.test:j@a.test>, d@a.test", "a <j@a.test> | d@a.test", ""},
		{"two comments", "j@a.test (one) (two)", "one <j@a.test>", ""},
	} {
		m := read(t, "To: "+c.in, "", "x")
		if got := show(m.To); got != c.want || codes(m) != c.codes {
			t.Errorf("%s: %s\n got %s %q\nwant %s %q", c.fact, c.in, got, codes(m), c.want, c.codes)
		}
	}
}

func TestAbsentAddressFieldsAreNull(t *testing.T) {
	m := read(t, "Subject: x", "", "x")
	if m.To != nil || m.From != nil || m.CC != nil || m.BCC != nil || m.Sender != nil || m.ReplyTo != nil {
		t.Errorf("got %+v", m)
	}
}

func TestAddressesOfAllFieldsOfANameAreListed(t *testing.T) {
	m := read(t, "To: a@a.test", "To: b@a.test", "From: c@a.test", "From: d@a.test", "", "x")
	if show(m.To) != "a@a.test | b@a.test" || show(m.From) != "c@a.test | d@a.test" || codes(m) != ProblemDuplicateField {
		t.Errorf("got %s, %s, %s", show(m.To), show(m.From), codes(m))
	}
}
