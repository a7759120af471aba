package parser

import "strings"

// addresses reads the address lists of all fields called name (RFC 5322 section
// 3.4), groups flattened (RFC 8621 section 4.1.2.3); nil where there is none. An
// element that cannot be read costs no other.
func (p *parse) addresses(h header, name string) []Address {
	var list []Address
	for value := range h.all(name) {
		if list == nil {
			list = []Address{}
		}
		if quick, ok := quickAddresses(list, value, p.lim.Addresses); ok {
			list = quick
			continue
		}
		list = p.addressList(list, value, "header "+name)
	}
	return list
}

func (p *parse) addressList(list []Address, s, where string) []Address {
	elements := splitAddresses(s)
	for i := 0; i < len(elements); i++ {
		e := strings.TrimSpace(elements[i])
		if e == "" {
			continue
		}
		// "Doe, John, Dr. <j@example.com>": the name was to be quoted.
		if n := namePieces(elements[i:]); n > 1 {
			e = strings.TrimSpace(strings.Join(elements[i:i+n], ","))
			i += n - 1
			p.problemOnce(ProblemBadAddress, where, "a comma in a name without quotes")
		}
		if isNobody(e) {
			p.problemOnce(ProblemBadAddress, where, "an empty group without its colon")
			continue
		}
		several := bareAddresses(e)
		if several == nil {
			several = []string{e}
		} else {
			p.problemOnce(ProblemBadAddress, where, "no comma between two addresses")
		}
		for _, e := range several {
			if len(list) >= p.lim.Addresses {
				p.problemOnce(ProblemLimitAddresses, where, "the list has more addresses than the limit; the rest was left out")
				return list
			}
			if a, ok := p.address(e, where); ok {
				list = append(list, a)
			}
		}
	}
	return list
}

// bareAddresses are the words of an element of which each is an address, as where
// a program has left the commas out; nil for any other.
func bareAddresses(e string) []string {
	if strings.Count(e, "@") < 2 || strings.ContainsAny(e, `<>"()[]:=`) {
		return nil
	}
	words := strings.Fields(e)
	for _, w := range words {
		if at := strings.IndexByte(w, '@'); at <= 0 || at != strings.LastIndexByte(w, '@') || at == len(w)-1 {
			return nil
		}
	}
	if len(words) < 2 {
		return nil
	}
	return words
}

// isNobody tells whether an element is the name of the group that hides the
// recipients, for which many programs forget the colon.
func isNobody(e string) bool {
	switch strings.ToLower(strings.Trim(e, `" <>.-`)) {
	case "undisclosed-recipients", "undisclosed recipients", "undisclosed-recipient", "undisclosed recipient", "recipient list not shown", "unlisted-recipients", "unlisted recipients":
		return true
	}
	return false
}

// maxNamePieces is how many commas a name without quotes may have, and one.
const maxNamePieces = 4

// namePieces tells how many elements make one address: names without an address,
// and then a name with one.
func namePieces(elements []string) int {
	for n, e := range elements[:min(len(elements), maxNamePieces)] {
		e = strings.TrimSpace(e)
		if n > 0 && strings.Contains(e, "<") && namesSomebody(e) {
			return n + 1
		}
		if e == "" || strings.ContainsAny(e, `@<"`) || strings.Contains(e, "=?") {
			return 0
		}
	}
	return 0
}

// namesSomebody tells whether a name stands before the angle bracket.
func namesSomebody(e string) bool {
	name, _, _ := strings.Cut(e, "<")
	name = strings.TrimSpace(name)
	return name != "" && name[0] != '"' && !strings.Contains(name, "@")
}

// splitAddresses parts a list at its commas, and at the semicolons some mail has
// instead. Names of groups are left out.
func splitAddresses(s string) []string {
	var out []string
	var k skipper
	start := 0
	address := false // an @ or a bracket stands in the element so far
	lastAngle := strings.LastIndexByte(s, '>')
	lastSemicolon := strings.LastIndexByte(s, ';')
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			if end := k.past(s, i) - 1; end > i && quoteEnds(s, end) {
				i = end
			}
		case '(':
			i = k.past(s, i) - 1
		case '<':
			address = true
			if i < lastAngle {
				end := strings.IndexAny(s[i+1:], "><")
				if end >= 0 && s[i+1+end] == '>' {
					i += end + 1
				}
			}
		case '@':
			address = true
		case ':':
			// A group (RFC 5322 section 3.4): a name, a colon, and a semicolon after it.
			if i < lastSemicolon && !address {
				start = i + 1
			}
		case ',', ';':
			out = append(out, s[start:i])
			start, address = i+1, false
		}
	}
	return append(out, s[start:])
}

// quoteEnds tells whether what follows the quote at end may follow a closing
// one; if not, the quotes are unbalanced, and it opens the next name.
func quoteEnds(s string, end int) bool {
	return end+1 == len(s) || strings.IndexByte(" \t,;:<>()@.\"=", s[end+1]) >= 0
}

// address reads one element of a list.
func (p *parse) address(e, where string) (Address, bool) {
	name, email, comment := cutAddress(e)
	email = p.cleanEmail(email, where)
	if email == "" && name == "" {
		return Address{}, false
	}
	if email == "" {
		// Something without an address: its text is kept where the address would be.
		p.problem(ProblemBadAddress, where, clip(e, 80))
		text := p.decodeText(unquote(name), where)
		return Address{Email: text}, text != ""
	}
	if !strings.Contains(email, "@") {
		p.problemOnce(ProblemBadAddress, where, clip(e, 80))
	}
	a := Address{Email: email}
	text := p.decodeText(unquote(name), where)
	if text == "" {
		text = p.decodeText(comment, where)
	}
	// A name of encoded-words may hold its quotes inside (RFC 2047 section 5 forbids it).
	if n := len(text); n > 1 && (text[0] == '"' && text[n-1] == '"' || text[0] == '\'' && text[n-1] == '\'') {
		text = strings.TrimSpace(text[1 : n-1])
	}
	if text != "" && text != email {
		a.Name = &text
	} else if text == email && name != "" {
		a.Name = &text
	}
	return a, true
}

// cutAddress parts an element into name, address and comment.
func cutAddress(e string) (name, email, comment string) {
	if open := angle(e); open >= 0 {
		name = e[:open]
		email = strings.TrimLeft(e[open:], "<")
		if end := strings.IndexByte(email, '>'); end >= 0 {
			email = email[:end]
		}
		return strings.TrimSpace(stripComments(name)), email, firstComment(e)
	}
	bare := joinDots(strings.TrimSpace(stripComments(e)))
	comment = firstComment(e)
	if strings.HasPrefix(bare, `"`) && closingQuote(bare, 1) == len(bare)-1 && strings.Contains(bare, "@") {
		bare = strings.Trim(bare, `"`) // "ada@example.com"
	}
	if !strings.Contains(bare, "@") {
		if !strings.ContainsAny(bare, " \t\"=") {
			return "", bare, comment // a local name: "root"
		}
		return bare, "", comment
	}
	// Words before the address are a name: Ada Byron ada@example.com
	at := strings.LastIndexByte(bare, '@')
	start := strings.LastIndexAny(bare[:at], " \t")
	if q := strings.LastIndexByte(bare[:at], '"'); q >= 0 && q == at-1 {
		start = strings.LastIndex(bare[:q], ` "`) // a quoted local part
	}
	if rest := bare[at:]; strings.ContainsAny(strings.TrimLeft(rest[1:], " \t"), " \t") {
		// words after it as well: ada@example.com Ada
		head := strings.TrimLeft(rest[1:], " \t")
		end := strings.IndexAny(head, " \t")
		return strings.TrimSpace(bare[:start+1] + head[end:]), bare[start+1:at+1] + head[:end], comment
	}
	return strings.TrimSpace(bare[:start+1]), bare[start+1:], comment
}

// joinDots takes white space around dots and the @ away (RFC 5322 section 4.4).
// The dot of an initial stays: what follows it begins no word with a dot.
func joinDots(s string) string {
	if !strings.Contains(s, " .") && !strings.Contains(s, " @") && !strings.Contains(s, "@ ") || strings.IndexByte(s, '"') >= 0 {
		return s
	}
	var b strings.Builder
	glue := true
	for _, w := range strings.Fields(s) {
		if !glue && w[0] != '.' && w[0] != '@' {
			b.WriteByte(' ')
		}
		b.WriteString(w)
		glue = w == "." || w[len(w)-1] == '@'
	}
	return b.String()
}

// angle finds the bracket that opens the address: the last one outside quotes
// and comments, or the first of "<<".
func angle(e string) int {
	at := -1
	var k skipper
	for i := 0; i < len(e); {
		if e[i] == '<' && (at < 0 || e[i-1] != '<') {
			at = i
		}
		i = k.past(e, i)
	}
	return at
}

// cleanEmail takes off an address what does not belong to it: a route (RFC 5322
// section 4.4), comments, white space, a trailing dot.
func (p *parse) cleanEmail(s, where string) string {
	s = strings.TrimSpace(stripComments(s))
	if strings.HasPrefix(s, "@") {
		if _, rest, ok := strings.Cut(s, ":"); ok {
			s = rest
		}
	}
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = s[7:]
	}
	if s == "" {
		return ""
	}
	if strings.Contains(s, "=?") {
		p.problemOnce(ProblemBadAddress, where, "an address in an encoded-word")
		s = p.decodeText(s, where)
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return validUTF8(strings.Join(strings.Fields(p.rawText(s, where)), " "))
	}
	local, domain := strings.TrimSpace(s[:at]), s[at+1:]
	if !strings.HasPrefix(local, `"`) {
		local = dropSpace(local)
	}
	domain = strings.TrimSuffix(dropSpace(domain), ".")
	return validUTF8(p.rawText(local+"@"+domain, where))
}

func dropSpace(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	return strings.Join(strings.Fields(s), "")
}

// unquote takes the quotes off a display name and undoes quoted pairs.
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if strings.IndexByte(s, '"') < 0 {
		return unescape(s)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
		default:
			b.WriteByte(s[i])
		}
	}
	return strings.TrimSpace(b.String())
}
