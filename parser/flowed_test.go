package parser

import (
	"strings"
	"testing"
)

func TestFlowedTextIsJoinedAsRFC3676Shows(t *testing.T) {
	for _, c := range []struct{ fact, delsp, in, want string }{
		{"the example of section 5", "", "`Take some more tea,' the March Hare said to Alice, very \r\nearnestly.\r\n\r\n`I've had nothing yet,' Alice replied in an offended tone, `so \r\nI can't take more.'\r\n\r\n`You mean you can't take LESS,' said the Hatter: `it's very \r\neasy to take MORE than nothing.'\r\n",
			"`Take some more tea,' the March Hare said to Alice, very earnestly.\n\n`I've had nothing yet,' Alice replied in an offended tone, `so I can't take more.'\n\n`You mean you can't take LESS,' said the Hatter: `it's very easy to take MORE than nothing.'\n"},
		{"the example of section 5, quoted", "", ">>>Take some more tea.\r\n>>I've had nothing yet, so I can't take more.\r\n>You mean you can't take LESS, it's very easy to take \r\n>MORE than nothing.\r\n",
			">>> Take some more tea.\n>> I've had nothing yet, so I can't take more.\n> You mean you can't take LESS, it's very easy to take MORE than nothing.\n"},
		{"delsp takes the space away (section 4.1)", "yes", "\u6f22 \r\n\u5b57 \r\n\u3067\u3059\r\n", "\u6f22\u5b57\u3067\u3059\n"},
		{"delsp in capitals", "YES", "a \r\nb", "ab"},
		{"two spaces with delsp leave one", "yes", "a  \r\nb", "a b"},
		{"stuffed spaces are taken away (section 4.4)", "", "  indented\r\n From here\r\n >not quoted\r\n", " indented\nFrom here\n>not quoted\n"},
		{"a quoted line is stuffed once", "", "> a\r\n>  b\r\n", "> a\n>  b\n"},
		{"the mark of a signature ends a paragraph and is none (section 4.3)", "", "a \r\n-- \r\nAda \r\nByron\r\n", "a \n-- \nAda Byron\n"},
		{"a quoted mark of a signature", "", "> a \r\n> -- \r\n> b\r\n", "> a \n> -- \n> b\n"},
		{"another depth of quotes ends a paragraph (section 4.5)", "", "> a \r\nb\r\n>c \r\n>>d\r\n", "> a \nb\n> c \n>> d\n"},
		{"a line of one space is an empty one", "", "a\r\n \r\nb\r\n", "a\n\nb\n"},
		{"an empty line ends a paragraph and stays", "", "a \r\n\r\nb\r\n", "a \n\nb\n"},
		{"the last line may be flowed", "", "a \r\nb ", "a b "},
		{"empty quoted lines", "", ">\r\n> a\r\n>\r\n", ">\n> a\n>\n"},
		{"nothing", "", "", ""},
	} {
		param := "; format=flowed"
		if c.delsp != "" {
			param += "; DelSp=" + c.delsp
		}
		m := parseOctets(t, body("text/plain; charset=utf-8"+param, c.in), Limits{})
		checkMessage(t, m)
		if str(m.Text) != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.fact, str(m.Text), c.want)
		}
	}
	m := parseOctets(t, body("text/plain; format=fixed", "a \r\nb"), Limits{})
	if str(m.Text) != "a \nb" {
		t.Errorf("format=fixed: %q", str(m.Text))
	}
	m = parseOctets(t, body("text/html; format=flowed", "a \r\n>b"), Limits{})
	if str(m.HTML) != "a \n>b" {
		t.Errorf("HTML: %q", str(m.HTML))
	}
}

func FuzzFlowed(f *testing.F) {
	for _, s := range []string{"a \nb", "> a \n> b\n>> c", "-- \na", " >a", ">\n"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, delsp bool) {
		got := unflow(s, delsp)
		if strings.Count(got, "\n") > strings.Count(s, "\n") || len(got) > len(s)+strings.Count(s, ">") {
			t.Errorf("%q became %q", s, got)
		}
	})
}
