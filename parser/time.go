package parser

import "time"

// Time is a moment with the zone the mail gave it. As JSON it is RFC 3339 in
// that zone, as RFC 8621 has it for sentAt.
type Time struct{ time.Time }

// MarshalJSON writes t as RFC 3339, in whole seconds, in its own zone.
func (t Time) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, len(time.RFC3339)+2)
	b = append(b, '"')
	b = t.AppendFormat(b, time.RFC3339)
	return append(b, '"'), nil
}

// String returns t as RFC 3339.
func (t Time) String() string { return t.Format(time.RFC3339) }
