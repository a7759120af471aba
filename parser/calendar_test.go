package parser

import "testing"

func TestCalendarsAreRead(t *testing.T) {
	for _, c := range []struct {
		fact, contentType string
		lines             []string
		want, codes       string
	}{
		{"RFC 5546 section 4.2.1", "text/calendar; method=REQUEST; charset=UTF-8", []string{
			"BEGIN:VCALENDAR", "PRODID:-//Example/ExampleCalendarClient//EN", "METHOD:REQUEST", "VERSION:2.0", "BEGIN:VEVENT", "ORGANIZER:mailto:a@example.com",
			"ATTENDEE;ROLE=CHAIR;PARTSTAT=ACCEPTED;CN=A:mailto:a@example.com", "ATTENDEE;RSVP=TRUE;CUTYPE=INDIVIDUAL;CN=B:mailto:b@example.com",
			"DTSTAMP:19970611T190000Z", "DTSTART:19970701T200000Z", "DTEND:19970701T2100000Z", "SUMMARY:Conference", "UID:calsrv.example.com-873970198738777@example.com", "SEQUENCE:0", "STATUS:CONFIRMED", "END:VEVENT", "END:VCALENDAR"},
			`[{"method":"REQUEST","uid":"calsrv.example.com-873970198738777@example.com","summary":"Conference","start":"1997-07-01T20:00:00Z","end":"19970701T2100000Z","timeZone":null,"organizer":"a@example.com","attendees":["a@example.com","b@example.com"]}]`, ""},
		{"a zone, an alarm, folds and escapes", "text/calendar", []string{
			"BEGIN:VCALENDAR", "BEGIN:VTIMEZONE", "TZID:Europe/Vienna", "BEGIN:STANDARD", "DTSTART:16010101T030000", "END:STANDARD", "END:VTIMEZONE", "BEGIN:VEVENT", "UID:1",
			`DTSTART;TZID="Europe/Vienna":20261124T100000`, "DURATION:PT1H30M", `SUMMARY:Tea\, cake\;`, "  and\\nmore", "BEGIN:VALARM", "SUMMARY:wrong", "END:VALARM", `ORGANIZER;CN="a:b":MAILTO:o@example.com`, "END:VEVENT", "END:VCALENDAR"},
			`[{"method":null,"uid":"1","summary":"Tea, cake; and more","start":"2026-11-24T10:00:00","end":"2026-11-24T11:30:00","timeZone":"Europe/Vienna","organizer":"o@example.com","attendees":[]}]`, ""},
		{"a whole day", "text/calendar; method=publish", []string{"BEGIN:VCALENDAR", "BEGIN:VEVENT", "UID:1", "DTSTART;VALUE=DATE:20261124", "DURATION:P1D", "END:VEVENT", "END:VCALENDAR"},
			`[{"method":"PUBLISH","uid":"1","summary":null,"start":"2026-11-24","end":"2026-11-25","timeZone":null,"organizer":null,"attendees":[]}]`, ""},
		{"one that breaks off", "text/calendar", []string{"BEGIN:VCALENDAR", "junk", "BEGIN:VEVENT", "UID:1"},
			`[{"method":null,"uid":"1","summary":null,"start":null,"end":null,"timeZone":null,"organizer":null,"attendees":[]}]`, ProblemBadCalendar},
		{"a calendar of tasks", "text/calendar", []string{"BEGIN:VCALENDAR", "BEGIN:VTODO", "UID:1", "END:VTODO", "END:VCALENDAR"}, `[]`, ""},
	} {
		m := read(t, append([]string{"From: a@example.com", "Content-Type: " + c.contentType, ""}, c.lines...)...)
		wantJSON(t, c.fact, m.Calendar, c.want)
		if codes(m) != c.codes {
			t.Errorf("%s: problems %q, want %q", c.fact, codes(m), c.codes)
		}
	}
}
