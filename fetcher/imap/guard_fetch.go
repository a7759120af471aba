package imap

import (
	"bytes"
	"strconv"
	"time"
)

// Items one of which every answer that was asked for has.
const (
	wantedBody = "BODY[] "       // a mail
	wantedHead = "BODY[HEADER] " // its header block; the program asks for no other section
	wantedSize = "RFC822.SIZE "
)

// fetch judges the first line of a FETCH response. Only the items this program
// asks for are passed on; a response with any other (an unsolicited
// BODYSTRUCTURE, X-GM-MSGID) or with a value imapclient could not read is
// dropped whole. If it was the answer to something, that is asked again, with
// fewer items.
func (g *guard) fetch(line, text []byte) error {
	literal, err := g.scan(text)
	switch {
	case err == errMalformed:
		return g.drop(-1)
	case err != nil:
		return err
	}
	at := bytes.IndexByte(text, '(')
	if at < 0 {
		return g.drop(literal)
	}
	return g.fetchItems(line, text[at+1:], literal)
}

// fetchTail judges a line of a FETCH response after its mail. A second mail would
// leave open which of them is the right one.
func (g *guard) fetchTail(line, text []byte, literal int64) error {
	rest := bytes.TrimPrefix(text, []byte(" "))
	if literal >= 0 {
		return violatef("%q after a mail", clip(text))
	}
	if bytes.Equal(rest, []byte(")")) || readableItems(rest, false) && !holds(rest, wantedBody) && !holds(rest, wantedHead) {
		return g.pass(line, fresh, -1)
	}
	if end := bytes.LastIndexByte(line, ')'); end >= 0 {
		return g.pass(line[end:], fresh, -1)
	}
	return violatef("%q after a mail", clip(text))
}

func (g *guard) fetchItems(line, items []byte, literal int64) error {
	if !readableItems(items, literal >= 0) || literal < 0 && g.depth != 0 {
		return g.drop(literal)
	}
	// imapclient takes the first answer for a UID, so news of its flags would hide
	// what was asked for.
	if want := g.wanted.Load(); want != nil && !holds(items, *want) {
		return g.drop(literal)
	}
	if literal >= 0 {
		return g.pass(line, fetching, literal)
	}
	return g.pass(line, fresh, -1)
}

// holds reports whether items name one.
func holds(items []byte, name string) bool {
	return bytes.Contains(bytes.ToUpper(items), []byte(name))
}

// readableItems reports whether imapclient can read the items. They end with
// the list's closing parenthesis, or with the mail's literal.
func readableItems(items []byte, literal bool) bool {
	for {
		var ok bool
		if rest, is := cutSection(items); is {
			if literal && rest[0] == '{' {
				return bytes.IndexByte(rest, '}') == len(rest)-1
			}
			items, ok = cutNString(rest)
		} else {
			items, ok = cutKnownItem(items)
		}
		switch {
		case !ok || len(items) == 0:
			return false
		case items[0] == ' ':
			items = items[1:]
		case items[0] == ')':
			return !literal && len(items) == 1
		}
	}
}

// cutSection cuts the name of a section that the program asks for.
func cutSection(items []byte) (rest []byte, ok bool) {
	if rest, ok = cutItem(items, wantedBody); ok {
		return rest, true
	}
	return cutItem(items, wantedHead)
}

// cutKnownItem cuts one item other than the mail, with its value.
func cutKnownItem(items []byte) (rest []byte, ok bool) {
	if rest, is := cutItem(items, "UID "); is {
		return cutNumber(rest, 32)
	}
	if rest, is := cutItem(items, "RFC822.SIZE "); is {
		return cutNumber(rest, 63)
	}
	if rest, is := cutItem(items, "FLAGS ("); is {
		return cutFlags(rest)
	}
	if rest, is := cutItem(items, `INTERNALDATE "`); is {
		return cutDate(rest)
	}
	if rest, is := cutItem(items, "MODSEQ ("); is {
		rest, ok = cutNumber(rest, 63)
		return bytes.TrimPrefix(rest, []byte(")")), ok && len(rest) > 0 && rest[0] == ')'
	}
	return nil, false
}

// cutItem cuts an item's name; names are compared without case.
func cutItem(items []byte, name string) (rest []byte, ok bool) {
	if len(items) <= len(name) || !bytes.EqualFold(items[:len(name)], []byte(name)) {
		return nil, false
	}
	return items[len(name):], true
}

// cutNumber cuts a number of so many bits.
func cutNumber(b []byte, bits int) (rest []byte, ok bool) {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	_, err := strconv.ParseUint(string(b[:n]), 10, bits)
	return b[n:], err == nil
}

// cutFlags cuts a list of flags without its opening parenthesis. A flag is an
// atom (RFC 3501 section 9), perhaps after a backslash; one space divides
// them, and some servers begin with one.
func cutFlags(b []byte) (rest []byte, ok bool) {
	end := bytes.IndexByte(b, ')')
	if end <= 0 {
		return b[end+1:], end == 0
	}
	for flag := range bytes.SplitSeq(bytes.TrimPrefix(b[:end], []byte(" ")), []byte(" ")) {
		flag = bytes.TrimPrefix(flag, []byte(`\`))
		if len(flag) == 0 || bytes.ContainsAny(flag, `({%*"\]`) {
			return nil, false
		}
		for _, c := range flag {
			if c < ' ' || c >= 0x7f && c < 0xa0 { // what imapclient takes for control characters
				return nil, false
			}
		}
	}
	return b[end+1:], true
}

// dateTime is RFC 3501's date-time (section 9).
const dateTime = "_2-Jan-2006 15:04:05 -0700"

// cutDate cuts a date-time without its opening quote.
func cutDate(b []byte) (rest []byte, ok bool) {
	end := bytes.IndexByte(b, '"')
	if end < 0 || end > 40 {
		return nil, false
	}
	t, err := time.Parse(dateTime, string(b[:end]))
	return b[end+1:], err == nil && !t.IsZero()
}

// cutNString cuts NIL or a quoted string.
func cutNString(b []byte) (rest []byte, ok bool) {
	if len(b) >= 3 && bytes.EqualFold(b[:3], []byte("NIL")) {
		return b[3:], string(b[:3]) == "NIL" // imapclient knows it in capitals only
	}
	if len(b) == 0 || b[0] != '"' {
		return nil, false
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[i+1:], true
		}
	}
	return nil, false
}
