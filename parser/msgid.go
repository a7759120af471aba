package parser

import "strings"

// ids reads the message identifiers of a field (RFC 5322 section 3.6.4) without
// their angle brackets; nil where the field is absent.
func (p *parse) ids(h header, name string) []string {
	raw, ok := h.get(name)
	if !ok {
		return nil
	}
	where := "header " + name
	ids := []string{}
	add := func(id string) {
		if isPlain(id) && strings.IndexByte(id, ' ') < 0 {
			if id != "" && len(ids) < p.lim.Addresses {
				ids = append(ids, id)
			}
			return
		}
		if strings.ContainsAny(id, " \t") {
			id = stripComments(id) // RFC 5322 section 4.5.4
		}
		id = strings.Map(func(r rune) rune {
			if r <= ' ' || r == 0x7f {
				return -1
			}
			return r
		}, p.rawText(id, where))
		if id != "" && len(ids) < p.lim.Addresses {
			ids = append(ids, validUTF8(id))
		}
	}
	for s := raw; s != ""; {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			open = len(s)
		}
		for _, word := range strings.Fields(bareIDs(s[:open])) {
			p.problemOnce(ProblemBadMessageID, where, "an id without angle brackets")
			add(strings.Trim(word, `<>",;`))
		}
		if open == len(s) {
			break
		}
		end := strings.IndexAny(s[open+1:], "<>")
		if end < 0 {
			p.problemOnce(ProblemBadMessageID, where, "an id without its closing bracket")
			add(s[open+1:])
			break
		}
		end += open + 1
		add(s[open+1 : end])
		if s[end] == '>' {
			end++
		} else {
			p.problemOnce(ProblemBadMessageID, where, "an id without its closing bracket")
			if end == open+1 { // "<<id>"
				end = open + 1
			}
		}
		s = s[end:]
	}
	return ids
}

// bareIDs is what in text outside angle brackets may be an id: words with an @,
// or a text that is one word. The rest is the phrases of old mail ("your message
// of Friday").
func bareIDs(s string) string {
	s = strings.TrimSpace(stripComments(s))
	if !strings.ContainsAny(s, " \t") {
		return strings.Trim(s, ",;")
	}
	var keep []string
	for _, word := range strings.Fields(s) {
		if strings.Contains(word, "@") {
			keep = append(keep, word)
		}
	}
	return strings.Join(keep, " ")
}
