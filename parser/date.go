package parser

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// readDate reads a date and time (RFC 5322 section 3.3 and, for years of two
// digits and zones by name, section 4.3), the forms of asctime and ISO 8601, and
// what lies between them. The zone stays the mail's own; without one it is UTC.
func readDate(raw string) (time.Time, bool) {
	if t, ok := quickDate(raw); ok {
		return t, true
	}
	return slowDate(raw)
}

// quickDate reads a date as RFC 5322 section 3.3 has it, the time zone's name in a
// comment at most after it, as slowDate does; it gives up at anything else.
func quickDate(s string) (t time.Time, ok bool) {
	if len(s) > 5 && s[3] == ',' && s[4] == ' ' {
		if !slices.ContainsFunc(weekdayNames[:], func(name string) bool { return strings.EqualFold(name, s[:3]) }) {
			return t, false
		}
		s = s[5:]
	}
	if len(s) > 2 && s[1] == ' ' {
		s = "0" + s
	}
	const layout = "24 Nov 2026 10:00:00 +0100"
	if len(s) < len(layout) {
		return t, false
	}
	if rest := s[len(layout):]; rest != "" && (len(rest) < 4 || rest[:2] != " (" || rest[len(rest)-1] != ')' || strings.ContainsAny(rest[2:len(rest)-1], "()\\\"")) {
		return t, false
	}
	for i, c := range []byte(layout) {
		if digit := isDigit(c); digit != isDigit(s[i]) || !digit && c != s[i] && c|0x20 < 'a' && c != '+' {
			return t, false
		}
	}
	two := func(i int) int { return int(s[i]-'0')*10 + int(s[i+1]-'0') }
	day, year, hour, minute, sec := two(0), two(7)*100+two(9), two(12), two(15), two(18)
	month := time.Month(0)
	for i, name := range monthNames {
		if strings.EqualFold(name, s[3:6]) {
			month = time.Month(i + 1)
		}
	}
	if month == 0 || day < 1 || day > 31 || hour > 23 || minute > 59 || sec > 60 || two(22) > 23 {
		return t, false
	}
	zone, seconds := time.UTC, two(22)*3600+two(24)*60
	switch {
	case s[21] == '-':
		seconds = -seconds
	case s[21] != '+':
		return t, false
	}
	if seconds != 0 {
		zone = time.FixedZone("", seconds)
	}
	return time.Date(year, month, day, hour, minute, sec, 0, zone), true
}

func slowDate(raw string) (time.Time, bool) {
	s := strings.TrimSpace(stripComments(raw))
	if len(s) > 200 {
		return time.Time{}, false
	}
	for _, layout := range isoLayouts(s) {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	d := dateReader{day: -1, year: -1, hour: -1, zone: time.UTC}
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == '\r' || r == '\n' })
	for i := 0; i < len(words); i++ {
		// "12 : 30 : 05" (RFC 5322 section 4.3 lets white space stand there)
		for i+1 < len(words) && d.hour < 0 && (strings.HasSuffix(words[i], ":") || strings.HasPrefix(words[i+1], ":")) {
			words[i+1] = words[i] + words[i+1]
			i++
		}
		if !d.word(words[i]) {
			return time.Time{}, false
		}
	}
	return d.time()
}

// isoLayouts are the forms of ISO 8601, if s begins like one.
func isoLayouts(s string) []string {
	if len(s) < 10 || s[4] != '-' {
		return nil
	}
	return []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05-0700", "2006-01-02T15:04Z07:00", "2006-01-02"}
}

type dateReader struct {
	day, year          int
	month              time.Month
	hour, minute, sec  int
	zone               *time.Location
	zoned, pm, halfDay bool
}

// word takes the next word of a date; false where it makes no sense.
func (d *dateReader) word(w string) bool {
	switch {
	case w == "":
		return false
	case strings.Contains(w, ":") && d.hour < 0 && w[0] >= '0' && w[0] <= '9':
		return d.clock(w)
	case strings.Count(w, "-") == 2 && w[0] >= '0' && w[0] <= '9': // 24-Nov-2026
		for _, part := range strings.Split(w, "-") {
			if !d.word(part) {
				return false
			}
		}
		return true
	case (w[0] == '+' || w[0] == '-') && len(w) > 1:
		return d.offset(w)
	case w[0] >= '0' && w[0] <= '9':
		return d.number(w)
	case d.month == 0 && monthOf(w) != 0:
		d.month = monthOf(w)
		return true
	case strings.EqualFold(w, "pm") || strings.EqualFold(w, "am"):
		d.halfDay, d.pm = true, strings.EqualFold(w, "pm")
		return true
	case isWeekday(w):
		return true
	}
	return d.zoneName(w)
}

func (d *dateReader) clock(w string) bool {
	// A zone may follow without white space: 12:30:05+0100, 12:30:05Z
	if i := strings.IndexAny(w, "+-Zz"); i > 0 {
		if !d.zoneName(w[i:]) && !d.offset(w[i:]) {
			return false
		}
		w = w[:i]
	}
	w, _, _ = strings.Cut(w, ".")
	parts := strings.Split(w, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return false
	}
	var n [3]int
	for i, part := range parts {
		v, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || v < 0 || v > 60 {
			return false
		}
		n[i] = v
	}
	d.hour, d.minute, d.sec = n[0], n[1], n[2]
	return d.hour < 25 && d.minute < 60
}

func (d *dateReader) number(w string) bool {
	digits := strings.TrimRight(strings.ToLower(w), "stndrh.")
	v, err := strconv.Atoi(digits)
	if err != nil {
		return false
	}
	switch {
	case d.day < 0 && len(digits) <= 2:
		d.day = v
	case d.year < 0:
		switch {
		case len(digits) <= 2 && v < 50: // RFC 5322 section 4.3
			v += 2000
		case len(digits) <= 3:
			v += 1900
		}
		d.year = v
	case len(digits) == 4 && !d.zoned: // a zone without its sign
		return d.offset("+" + digits)
	}
	return true
}

// offset reads +0100, +01:00 and +1.
func (d *dateReader) offset(w string) bool {
	digits := strings.ReplaceAll(w[1:], ":", "")
	v, err := strconv.Atoi(digits)
	if err != nil || len(digits) > 4 {
		return false
	}
	if len(digits) <= 2 {
		v *= 100
	}
	seconds := v/100*3600 + v%100*60
	if w[0] == '-' {
		seconds = -seconds
	}
	if seconds > 24*3600 || seconds < -24*3600 {
		seconds = 0
	}
	if d.zoned && seconds == 0 {
		return true
	}
	d.setZone(seconds)
	return true
}

func (d *dateReader) setZone(seconds int) {
	d.zoned = true
	d.zone = time.UTC
	if seconds != 0 {
		d.zone = time.FixedZone("", seconds)
	}
}

// zones are the zones by name of RFC 5322 section 4.3, and those mail has
// besides, in hours.
var zones = map[string]float64{
	"UT": 0, "UTC": 0, "GMT": 0, "Z": 0, "WET": 0,
	"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
	"AKST": -9, "AKDT": -8, "HST": -10, "AST": -4, "ADT": -3, "BRT": -3,
	"BST": 1, "CET": 1, "MET": 1, "CEST": 2, "MEST": 2, "EET": 2, "EEST": 3, "WEST": 1, "SAST": 2, "MSK": 3, "MSD": 4,
	"JST": 9, "KST": 9, "HKT": 8, "SGT": 8, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "IST": 5.5,
}

func (d *dateReader) zoneName(w string) bool {
	name := strings.ToUpper(strings.Trim(w, `"'`))
	if i := strings.IndexAny(name, "+-"); i > 0 { // GMT+0100
		if _, ok := zones[name[:i]]; ok {
			return d.offset(name[i:])
		}
		return false
	}
	hours, ok := zones[name]
	switch {
	case d.zoned: // a name beside the offset
		return true
	case ok:
		d.setZone(int(hours * 3600))
		return true
	}
	// RFC 5322 section 4.3: other names say nothing of the offset.
	return d.hour >= 0 && len(name) <= 5
}

func (d *dateReader) time() (time.Time, bool) {
	if d.year < 0 || d.month == 0 || d.day < 1 || d.day > 31 {
		return time.Time{}, false
	}
	if d.hour < 0 {
		d.hour = 0
	}
	if d.halfDay && d.hour <= 12 {
		d.hour %= 12
		if d.pm {
			d.hour += 12
		}
	}
	t := time.Date(d.year, d.month, d.day, d.hour, d.minute, d.sec, 0, d.zone)
	return t, d.year <= 9999
}

var weekdayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

var monthNames = [...]string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}

func monthOf(w string) time.Month {
	if len(w) < 3 {
		return 0
	}
	w = strings.ToLower(w)
	for i, name := range monthNames {
		if w[:3] == name && strings.HasPrefix(strings.ToLower(time.Month(i+1).String())+".", strings.TrimSuffix(w, ".")) || w == name+"t" {
			return time.Month(i + 1)
		}
	}
	return 0
}

func isWeekday(w string) bool {
	w = strings.ToLower(strings.TrimSuffix(w, "."))
	if len(w) < 3 {
		return false
	}
	for day := range time.Weekday(7) {
		if name := strings.ToLower(day.String()); strings.HasPrefix(name, w[:3]) && strings.HasPrefix(name, strings.TrimSuffix(w, "s")) {
			return true
		}
	}
	return false
}
