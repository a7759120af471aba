package parser

import (
	"fmt"
	"strings"

	ics "github.com/arran4/golang-ical"
)

// maxEvents bounds the events of one mail, and maxAttendees those of an event.
const (
	maxEvents    = 100
	maxAttendees = 1000
)

// calendar reads the events of a calendar part (RFC 5545, RFC 6047).
func (p *parse) calendar(pt *part) {
	octets, cut := p.content(pt, min(p.lim.Nested, 4<<20))
	if cut {
		p.problemOnce(ProblemLimitNested, partWhere(pt), "the calendar is larger than the limit")
	}
	cal, err := readCalendar(p.toUTF8(octets, pt.params.get("charset"), partWhere(pt)))
	if err != nil {
		p.problemOnce(ProblemBadCalendar, partWhere(pt), err.Error())
	}
	if cal == nil {
		return
	}
	method := pt.params.get("method")
	for _, q := range cal.CalendarProperties {
		if strings.EqualFold(q.IANAToken, "METHOD") {
			method = q.Value
		}
	}
	for _, e := range cal.Events() {
		if len(p.msg.Calendar) >= maxEvents {
			p.problemOnce(ProblemLimitNested, partWhere(pt), "the calendar has more events than are listed")
			return
		}
		p.msg.Calendar = append(p.msg.Calendar, event(e, method))
	}
}

// readCalendar calls the library, which may panic on what it does not know.
func readCalendar(s string) (cal *ics.Calendar, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("read calendar: %v", fault)
		}
	}()
	return ics.ParseCalendar(strings.NewReader(s))
}

func event(e *ics.VEvent, method string) Event {
	get := func(name ics.ComponentProperty) *string {
		if q := e.GetProperty(name); q != nil {
			return optional(oneLine(q.Value))
		}
		return nil
	}
	out := Event{Method: optional(strings.ToUpper(oneLine(method))), UID: oneLine(e.Id()), Attendees: []string{}}
	out.Summary = get(ics.ComponentPropertySummary)
	out.Start = get(ics.ComponentPropertyDtStart)
	out.End = get(ics.ComponentPropertyDtEnd)
	if o := get(ics.ComponentPropertyOrganizer); o != nil {
		out.Organizer = optional(calendarAddress(*o))
	}
	for _, q := range e.GetProperties(ics.ComponentPropertyAttendee) {
		if len(out.Attendees) < maxAttendees {
			out.Attendees = append(out.Attendees, calendarAddress(oneLine(q.Value)))
		}
	}
	return out
}

// calendarAddress takes the scheme off an address (RFC 5545 section 3.3.3).
func calendarAddress(s string) string {
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		return s[7:]
	}
	return s
}
