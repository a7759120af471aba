package parser

import (
	"strconv"
	"strings"
	"time"
)

// maxEvents bounds the events of one mail, and maxAttendees those of an event.
const (
	maxEvents    = 100
	maxAttendees = 1000
)

// calendar reads the events of a calendar part (RFC 5545, RFC 6047).
func (p *parse) calendar(pt *part) {
	where := partWhere(pt)
	octets, cut := p.content(pt, min(p.lim.Nested, 4<<20))
	if cut {
		p.problemOnce(ProblemLimitNested, where, "the calendar is larger than the limit")
	}
	charset := pt.params.get("charset")
	if charset == "" {
		charset = "utf-8" // RFC 5545 section 3.1.4
	}
	r := calendarReader{p: p, where: where, method: pt.params.get("method")}
	r.read(p.cleanText(p.toUTF8(octets, charset, where), where))
}

// calendarReader reads content lines (RFC 5545 section 3.1). It looks at events
// only, and takes what is there of a broken one.
type calendarReader struct {
	p      *parse
	where  string
	method string
	begun  bool // BEGIN:VCALENDAR came
	ended  bool // END:VCALENDAR came
	first  int  // where in msg.Calendar the events of this calendar begin

	event    *Event
	within   int // components open inside the event: its alarms
	duration string
}

func (r *calendarReader) read(text string) {
	r.first = len(r.p.msg.Calendar)
	defer r.calls()
	var line strings.Builder
	for next := range strings.Lines(text) {
		next = strings.TrimRight(next, "\n")
		if next != "" && (next[0] == ' ' || next[0] == '\t') { // folded
			if line.Len()+len(next) < maxFieldValue {
				line.WriteString(next[1:])
			}
			continue
		}
		if !r.line(line.String()) {
			return
		}
		line.Reset()
		line.WriteString(next)
	}
	r.line(line.String())
	if !r.begun || !r.ended {
		r.p.problemOnce(ProblemBadCalendar, r.where, "the calendar breaks off")
	}
	r.end()
}

// calls gives the events the method of their calendar.
func (r *calendarReader) calls() {
	for i := r.first; i < len(r.p.msg.Calendar); i++ {
		r.p.msg.Calendar[i].Method = optional(strings.ToUpper(oneLine(r.method)))
	}
}

// line reads one content line; false ends the reading.
func (r *calendarReader) line(s string) bool {
	if strings.TrimSpace(s) == "" {
		return true
	}
	name, pars, value, ok := contentLine(s)
	if !ok {
		r.p.problemOnce(ProblemBadCalendar, r.where, clip("a line reads "+s, 80))
		return true
	}
	switch {
	case name == "BEGIN":
		r.begin(strings.ToUpper(strings.TrimSpace(value)))
	case name == "END":
		if r.within > 0 {
			r.within--
		} else if strings.EqualFold(strings.TrimSpace(value), "VEVENT") {
			r.end()
		} else if strings.EqualFold(strings.TrimSpace(value), "VCALENDAR") {
			r.ended = true
		}
	case r.event == nil:
		if name == "METHOD" {
			r.method = value
		}
	case r.within == 0:
		r.property(name, pars, value)
	}
	if len(r.p.msg.Calendar) >= maxEvents {
		r.p.problemOnce(ProblemLimitNested, r.where, "the calendar has more events than are listed")
		return false
	}
	return true
}

func (r *calendarReader) begin(component string) {
	switch {
	case component == "VCALENDAR":
		r.begun = true
	case r.event != nil && component != "VEVENT":
		r.within++
	case component == "VEVENT":
		r.end()
		r.event = &Event{Attendees: []string{}}
	}
}

// end lists the event that was read.
func (r *calendarReader) end() {
	if e := r.event; e != nil {
		if e.End == nil && e.Start != nil && r.duration != "" {
			e.End = endAfter(*e.Start, r.duration)
		}
		r.p.msg.Calendar = append(r.p.msg.Calendar, *e)
	}
	r.event, r.within, r.duration = nil, 0, ""
}

func (r *calendarReader) property(name, pars, value string) {
	e := r.event
	switch name {
	case "UID":
		e.UID = oneLine(value)
	case "SUMMARY":
		e.Summary = optional(oneLine(unescapeICS(value)))
	case "DTSTART":
		e.Start = optional(calendarTime(value))
		if tz := calendarParam(pars, "TZID"); tz != "" {
			e.TimeZone = optional(oneLine(clip(tz, 200)))
		}
	case "DTEND":
		e.End = optional(calendarTime(value))
	case "DURATION":
		r.duration = value
	case "ORGANIZER":
		e.Organizer = optional(calendarAddress(value))
	case "ATTENDEE":
		if len(e.Attendees) < maxAttendees {
			e.Attendees = append(e.Attendees, calendarAddress(value))
		}
	}
}

// contentLine parts name;parameters:value. A colon in a quoted parameter value is
// no end (RFC 5545 section 3.2).
func contentLine(s string) (name, pars, value string, ok bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			quoted = !quoted
		case ':':
			if !quoted {
				name, pars, _ = strings.Cut(s[:i], ";")
				return strings.ToUpper(strings.TrimSpace(name)), pars, s[i+1:], true
			}
		}
	}
	return "", "", "", false
}

func calendarParam(pars, name string) string {
	for _, q := range strings.Split(pars, ";") {
		if key, value, ok := strings.Cut(q, "="); ok && strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// unescapeICS undoes the escapes of TEXT (RFC 5545 section 3.3.11).
func unescapeICS(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\;`, ";", `\,`, ",", `\n`, "\n", `\N`, "\n").Replace(s)
}

// calendarTime writes a DATE or DATE-TIME (RFC 5545 section 3.3.5) as ISO 8601:
// with Z where it is UTC, without an offset where it is the time of a zone, a day
// alone where it is one. What is none of these stays as it is.
func calendarTime(v string) string {
	v = oneLine(v)
	for _, form := range calendarForms {
		if t, err := time.Parse(form.in, v); err == nil {
			return t.Format(form.out)
		}
	}
	return clip(v, 100)
}

var calendarForms = [...]struct{ in, out string }{
	{"20060102T150405Z", "2006-01-02T15:04:05Z"}, {"20060102T150405", "2006-01-02T15:04:05"}, {"20060102", "2006-01-02"},
}

// endAfter adds a DURATION (RFC 5545 section 3.3.6) to a start.
func endAfter(start, duration string) *string {
	d, ok := calendarDuration(duration)
	if !ok {
		return nil
	}
	for _, form := range calendarForms {
		if t, err := time.Parse(form.out, start); err == nil {
			s := t.Add(d).Format(form.out)
			return &s
		}
	}
	return nil
}

func calendarDuration(s string) (time.Duration, bool) {
	s, ok := strings.CutPrefix(strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(s)), "+"), "P")
	if !ok {
		return 0, false
	}
	units := map[byte]time.Duration{'W': 7 * 24 * time.Hour, 'D': 24 * time.Hour, 'H': time.Hour, 'M': time.Minute, 'S': time.Second}
	var d time.Duration
	for s = strings.ReplaceAll(s, "T", ""); s != ""; {
		i := 0
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		n, err := strconv.Atoi(s[:i])
		if err != nil || i == len(s) || units[s[i]] == 0 || n > 100000 {
			return 0, false
		}
		d += time.Duration(n) * units[s[i]]
		s = s[i+1:]
	}
	return d, true
}

// calendarAddress takes the scheme off an address (RFC 5545 section 3.3.3).
func calendarAddress(s string) string {
	s = oneLine(s)
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = strings.TrimSpace(s[7:])
	}
	return s
}
