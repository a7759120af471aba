package submit

import "testing"

// The lines are from RFC 5321 appendix D, RFC 2034 section 5, Postfix, Exim and
// Exchange.
func TestReplyKeepsEnhancedCodesAndWords(t *testing.T) {
	for _, c := range []struct {
		fact  string
		code  int
		lines []string
		want  string
		ext   Status
	}{
		{"no enhanced code", 250, []string{"OK"}, "250 OK", Status{}},
		{"queued", 250, []string{"2.0.0 Ok: queued as 4F2A"}, "250 2.0.0 Ok: queued as 4F2A", Status{2, 0, 0}},
		{"repeated on each line", 550, []string{"5.1.1 No such user", "5.1.1 here"}, "550 5.1.1 No such user here", Status{5, 1, 1}},
		{"a class that is not the reply's", 450, []string{"5.7.1 later"}, "450 5.7.1 later", Status{}},
		{"three figures", 535, []string{"5.7.139 Authentication unsuccessful"}, "535 5.7.139 Authentication unsuccessful", Status{5, 7, 139}},
		{"an address that looks alike", 250, []string{"10.0.0.1 at your service"}, "250 10.0.0.1 at your service", Status{}},
		{"four figures", 550, []string{"5.7.1000 no"}, "550 5.7.1000 no", Status{}},
		{"a sign", 550, []string{"5.+7.1 no"}, "550 5.+7.1 no", Status{}},
		{"no words", 250, []string{""}, "250", Status{}},
		{"control octets", 550, []string{"5.0.0 \x1b[2Jgone\r"}, `550 5.0.0 \x1b[2Jgone`, Status{5, 0, 0}},
		{"further lines", 421, []string{"4.7.0 Try", "again", "later"}, "421 4.7.0 Try again later", Status{4, 7, 0}},
	} {
		r := newReply(c.code, c.lines)
		if r.String() != c.want || r.Enhanced != c.ext {
			t.Errorf("%s: %q, %v; want %q, %v", c.fact, r, r.Enhanced, c.want, c.ext)
		}
	}
}
