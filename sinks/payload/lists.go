package payload

import "github.com/postferry/postferry/parser"

// appendAddresses appends an address list; null when the field is absent.
func appendAddresses(b []byte, list []parser.Address) []byte {
	if list == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, a := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendStringOrNull(append(b, `{"name":`...), a.Name)
		b = appendString(append(b, `,"email":`...), a.Email)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendHeaders(b []byte, list []parser.Header) []byte {
	b = append(b, '[')
	for i, h := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"name":`...), h.Name)
		b = appendString(append(b, `,"value":`...), h.Value)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendBounce(b []byte, n *parser.Bounce) []byte {
	if n == nil {
		return append(b, "null"...)
	}
	b = append(b, `{"recipients":[`...)
	for i, r := range n.Recipients {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"email":`...), r.Email)
		b = appendStringOrNull(append(b, `,"action":`...), r.Action)
		b = appendStringOrNull(append(b, `,"status":`...), r.Status)
		b = appendStringOrNull(append(b, `,"diagnostic":`...), r.Diagnostic)
		b = append(b, '}')
	}
	b = appendStringOrNull(append(b, `],"original":{"messageId":`...), n.Original.MessageID)
	b = appendStringOrNull(append(b, `,"subject":`...), n.Original.Subject)
	return append(b, "}}"...)
}

func appendList(b []byte, l *parser.List) []byte {
	if l == nil {
		return append(b, "null"...)
	}
	b = appendStringOrNull(append(b, `{"id":`...), l.ID)
	b = appendStrings(append(b, `,"unsubscribe":`...), l.Unsubscribe, false)
	b = appendStringOrNull(append(b, `,"post":`...), l.Post)
	return append(b, '}')
}

func appendCalendar(b []byte, list []parser.Event) []byte {
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendStringOrNull(append(b, `{"method":`...), e.Method)
		b = appendString(append(b, `,"uid":`...), e.UID)
		b = appendStringOrNull(append(b, `,"summary":`...), e.Summary)
		b = appendStringOrNull(append(b, `,"start":`...), e.Start)
		b = appendStringOrNull(append(b, `,"end":`...), e.End)
		b = appendStringOrNull(append(b, `,"timeZone":`...), e.TimeZone)
		b = appendStringOrNull(append(b, `,"organizer":`...), e.Organizer)
		b = appendStrings(append(b, `,"attendees":`...), e.Attendees, false)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendProblems(b []byte, list []parser.Problem) []byte {
	b = append(b, '[')
	for i, p := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"code":`...), p.Code)
		b = appendString(append(b, `,"where":`...), p.Where)
		b = appendString(append(b, `,"detail":`...), p.Detail)
		b = append(b, '}')
	}
	return append(b, ']')
}
