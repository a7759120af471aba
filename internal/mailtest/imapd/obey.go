package imapd

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// obey is what RFC 3501 says, with RFC 2177, 2971, 4315, 4731 and 6851 where the
// capabilities name them.
func (x *session) obey(tag, line string) Reply {
	x.mu.Lock()
	defer x.mu.Unlock()
	name, args, _ := strings.Cut(line, " ")
	switch strings.ToUpper(name) {
	case "":
		return Say("* OK ready\r\n")
	case "CAPABILITY":
		return Say("* CAPABILITY " + x.o.Caps + "\r\n$ OK done\r\n")
	case "STARTTLS":
		if x.o.TLS == nil {
			return Say("$ BAD no TLS here\r\n")
		}
		return Say("$ OK begin\r\n")
	case "AUTHENTICATE":
		if !strings.Contains(args, " ") {
			return Say("+ \r\n")
		}
		return Say("$ OK welcome\r\n")
	case "LOGIN", "NOOP", "SUBSCRIBE":
		return Say(x.news() + "$ OK done\r\n")
	case "ID":
		return Say("* ID NIL\r\n$ OK done\r\n")
	case "LOGOUT":
		return Cut("* BYE until then\r\n$ OK done\r\n")
	case "LIST":
		return Say(x.list() + "$ OK done\r\n")
	case "CREATE":
		x.boxes[unquote(args)] = &box{validity: 7, next: 1}
		return Say("$ OK done\r\n")
	case "SELECT", "EXAMINE":
		return x.choose(unquote(args))
	case "IDLE":
		x.idle = true
		return Say("+ idling\r\n" + x.news())
	case "DONE":
		x.idle = false
		return Say("$ OK done\r\n")
	case "UID":
		if x.box == nil {
			return Say("$ BAD nothing is selected\r\n")
		}
		return x.uid(args)
	}
	if x.box == nil && !strings.Contains(line, " ") { // the octets of AUTHENTICATE
		return Say("$ OK welcome\r\n")
	}
	return Say("$ BAD unknown command\r\n")
}

// news tells the client of mails it does not know of. Needs mu.
func (x *session) news() string {
	if x.box == nil || len(x.box.mails) == x.told {
		return ""
	}
	x.told = len(x.box.mails)
	return fmt.Sprintf("* %d EXISTS\r\n", x.told)
}

func (x *session) list() string {
	var names []string
	for name := range x.boxes {
		names = append(names, name)
	}
	slices.Sort(names)
	out := ""
	for _, name := range names {
		out += "* LIST (" + x.o.Uses[name] + `) "/" "` + name + "\"\r\n"
	}
	return out
}

func (x *session) choose(name string) Reply {
	if x.box = x.boxes[name]; x.box == nil {
		return Say("$ NO [NONEXISTENT] there is no such box\r\n")
	}
	x.told = len(x.box.mails)
	return Say(fmt.Sprintf("* FLAGS (\\Seen \\Deleted)\r\n* OK [PERMANENTFLAGS (\\Seen \\Deleted \\*)] limited\r\n"+
		"* %d EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY %d] valid\r\n* OK [UIDNEXT %d] next\r\n$ OK [READ-WRITE] done\r\n",
		x.told, x.box.validity, x.box.next))
}

func (x *session) uid(args string) Reply {
	verb, args, _ := strings.Cut(args, " ")
	switch strings.ToUpper(verb) {
	case "SEARCH":
		return x.search(args)
	case "FETCH":
		set, items, _ := strings.Cut(args, " ")
		out := ""
		x.each(set, func(seq int, m *Mail) { out += fetched(seq, m, items) })
		return Say(out + "$ OK done\r\n")
	case "STORE":
		set, rest, _ := strings.Cut(args, " ")
		_, flags, _ := strings.Cut(rest, "(")
		flags, _, _ = strings.Cut(flags, ")")
		x.each(set, func(_ int, m *Mail) { m.Flags = append(m.Flags, strings.Fields(flags)...) })
		return Say("$ OK done\r\n")
	case "EXPUNGE":
		return Say(x.expunge(args, true) + "$ OK done\r\n")
	case "COPY", "MOVE":
		set, name, _ := strings.Cut(args, " ")
		to := x.boxes[unquote(name)]
		if to == nil {
			return Say("$ NO [TRYCREATE] there is no such box\r\n")
		}
		x.each(set, func(_ int, m *Mail) { to.add(m.Octets) })
		if verb == "MOVE" {
			return Say(x.expunge(set, false) + "$ OK done\r\n")
		}
		return Say("$ OK done\r\n")
	}
	return Say("$ BAD unknown command\r\n")
}

func (x *session) each(set string, f func(seq int, m *Mail)) {
	for i, m := range x.box.mails {
		if inSet(set, m.UID) {
			f(i+1, m)
		}
	}
}

// expunge removes the mails of a set, or of them those that are marked.
func (x *session) expunge(set string, marked bool) string {
	out := ""
	kept := x.box.mails[:0:0]
	for _, m := range x.box.mails {
		if inSet(set, m.UID) && (!marked || slices.Contains(m.Flags, `\Deleted`)) {
			out += fmt.Sprintf("* %d EXPUNGE\r\n", len(kept)+1)
			x.told--
			continue
		}
		kept = append(kept, m)
	}
	x.box.mails = kept
	return out
}

func (x *session) search(args string) Reply {
	rest, extended := strings.CutPrefix(args, "RETURN (ALL) ")
	set, byUID := strings.CutPrefix(rest, "UID ")
	var found []string
	for _, m := range x.box.mails {
		switch {
		case byUID && !inSet(set, m.UID):
		case strings.Contains(rest, "SEEN") && !slices.Contains(m.Flags, `\Seen`):
		case strings.HasPrefix(rest, "BEFORE"): // no mail here is old
		default:
			found = append(found, strconv.Itoa(int(m.UID)))
		}
	}
	out := x.news()
	switch {
	case extended && len(found) > 0:
		out += "* ESEARCH (TAG \"%T\") UID ALL " + strings.Join(found, ",") + "\r\n"
	case extended:
		out += "* ESEARCH (TAG \"%T\") UID\r\n"
	default:
		out += strings.TrimRight("* SEARCH "+strings.Join(found, " "), " ") + "\r\n"
	}
	return Say(out + "$ OK done\r\n")
}

func fetched(seq int, m *Mail, items string) string {
	out := fmt.Sprintf("* %d FETCH (UID %d", seq, m.UID)
	if strings.Contains(items, "FLAGS") {
		out += " FLAGS (" + strings.Join(m.Flags, " ") + ")"
	}
	if strings.Contains(items, "X-GM-MSGID") {
		out += fmt.Sprintf(" X-GM-MSGID %d", m.ID)
	}
	if strings.Contains(items, "INTERNALDATE") {
		out += ` INTERNALDATE "` + m.Date.Format("_2-Jan-2006 15:04:05 -0700") + `"`
	}
	if strings.Contains(items, "RFC822.SIZE") {
		out += fmt.Sprintf(" RFC822.SIZE %d", len(m.Octets))
	}
	if strings.Contains(items, "BODY.PEEK[HEADER]") {
		head, _, _ := bytes.Cut(m.Octets, []byte("\r\n\r\n"))
		out += fmt.Sprintf(" BODY[HEADER] {%d}\r\n%s\r\n\r\n", len(head)+4, head)
	}
	if strings.Contains(items, "BODY.PEEK[]") {
		out += fmt.Sprintf(" BODY[] {%d}\r\n%s", len(m.Octets), m.Octets)
	}
	return out + ")\r\n"
}

func unquote(s string) string { return strings.Trim(s, `"`) }
