package parser

import (
	"encoding/json"
	"testing"
)

func TestDatesAreReadInEveryForm(t *testing.T) {
	for _, c := range []struct{ fact, in, want string }{
		{"RFC 5322 A.1.1", "Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"},
		{"RFC 5322 A.1.3", "Thu, 13 Feb 1969 23:32:54 -0330", "1969-02-13T23:32:54-03:30"},
		{"RFC 5322 A.5", "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n               -0330 (Newfoundland Time)", "1969-02-13T23:32:00-03:30"},
		{"RFC 5322 A.6.2", "21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06Z"},
		{"RFC 5322 A.6.3", "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "1997-11-21T09:55:06-06:00"},
		{"no weekday", "24 Nov 2026 10:00:00 +0100", "2026-11-24T10:00:00+01:00"},
		{"no seconds", "Tue, 24 Nov 2026 10:00 +0100", "2026-11-24T10:00:00+01:00"},
		{"EST (RFC 5322 section 4.3)", "Tue, 24 Nov 2026 10:00:00 EST", "2026-11-24T10:00:00-05:00"},
		{"PDT (RFC 5322 section 4.3)", "Tue, 24 Nov 2026 10:00:00 PDT", "2026-11-24T10:00:00-07:00"},
		{"UT", "Tue, 24 Nov 2026 10:00:00 UT", "2026-11-24T10:00:00Z"},
		{"Z", "Tue, 24 Nov 2026 10:00:00 Z", "2026-11-24T10:00:00Z"},
		{"a military zone says nothing", "Tue, 24 Nov 2026 10:00:00 A", "2026-11-24T10:00:00Z"},
		{"-0000", "Tue, 24 Nov 2026 10:00:00 -0000", "2026-11-24T10:00:00Z"},
		{"no zone", "Tue, 24 Nov 2026 10:00:00", "2026-11-24T10:00:00Z"},
		{"GMT+0100", "Tue, 24 Nov 2026 10:00:00 GMT+0100", "2026-11-24T10:00:00+01:00"},
		{"+01:00", "Tue, 24 Nov 2026 10:00:00 +01:00", "2026-11-24T10:00:00+01:00"},
		{"the zone's name beside it", "Tue, 24 Nov 2026 10:00:00 +0100 CET", "2026-11-24T10:00:00+01:00"},
		{"no comma", "Tue 24 Nov 2026 10:00:00 +0100", "2026-11-24T10:00:00+01:00"},
		{"the month in full", "Tue, 24 November 2026 10:00:00 +0100", "2026-11-24T10:00:00+01:00"},
		{"the weekday in full", "Tuesday, 24 Nov 2026 10:00:00 +0100", "2026-11-24T10:00:00+01:00"},
		{"lower case", "tue, 24 nov 2026 10:00:00 gmt", "2026-11-24T10:00:00Z"},
		{"a year of two digits", "24 Nov 26 10:00:00 +0000", "2026-11-24T10:00:00Z"},
		{"a year of three digits (RFC 5322 section 4.3)", "24 Nov 126 10:00:00 +0000", "2026-11-24T10:00:00Z"},
		{"ISO 8601", "2026-11-24T10:00:00+01:00", "2026-11-24T10:00:00+01:00"},
		{"ISO 8601 in UTC with a fraction", "2026-11-24T10:00:00.123Z", "2026-11-24T10:00:00Z"},
		{"ISO 8601 with a blank", "2026-11-24 10:00:00 +0100", "2026-11-24T10:00:00+01:00"},
		{"asctime", "Tue Nov 24 10:00:00 2026", "2026-11-24T10:00:00Z"},
		{"asctime with a zone", "Tue Nov 24 10:00:00 EST 2026", "2026-11-24T10:00:00-05:00"},
		{"dashes", "Tue, 24-Nov-2026 10:00:00 GMT", "2026-11-24T10:00:00Z"},
		{"a leap second", "Sat, 31 Dec 2016 23:59:60 +0000", "2017-01-01T00:00:00Z"},
		{"a comment inside", "Tue, 24 (a day) Nov 2026 10:00:00 +0100", "2026-11-24T10:00:00+01:00"},
		{"after noon", "Tue, 24 Nov 2026 1:05:00 PM +0100", "2026-11-24T13:05:00+01:00"},
		{"American", "Nov 24, 2026 10:00:00 -0500", "2026-11-24T10:00:00-05:00"},
	} {
		m := read(t, "Date: "+c.in, "", "x")
		got, err := json.Marshal(m.SentAt)
		if err != nil || string(got) != `"`+c.want+`"` || codes(m) != "" {
			t.Errorf("%s: %q: got %s %q, want %s", c.fact, c.in, got, codes(m), c.want)
		}
	}
}

func TestWhatIsNoDateIsNone(t *testing.T) {
	for _, in := range []string{"yesterday", "No. 0", "24-Nov-", "Tue, 99 Nov 2026 10:00:00 +0000", "24 Nov", "10:00:00", "Tue, 24 Foo 2026 10:00:00 +0000", "Tue, 24 Nov 2026 99:00:00 +0000"} {
		if m := read(t, "Date: "+in, "", "x"); m.SentAt != nil || codes(m) != ProblemBadDate {
			t.Errorf("%q: got %v %q", in, m.SentAt, codes(m))
		}
	}
}
