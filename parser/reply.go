package parser

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// splitReply parts a text into what its author wrote and what was quoted. Mail
// has no rule for it, so it goes by what the mail programs of the world put
// between the two: lines that begin with ">", "On …, Ada wrote:" and its like in
// other languages, "-----Original Message-----", a block of From, Sent, To and
// Subject. A signature belongs to neither (RFC 3676 section 4.3).
func splitReply(text string) *Reply {
	s := replySplitter{above: strings.Contains(text, aboveThisLine), lines: strings.SplitN(text, "\n", min(strings.Count(text, "\n")+1, maxReplyLines))}
	for s.at < len(s.lines) {
		s.step()
	}
	s.endFresh()
	return &Reply{Text: strings.TrimSpace(s.fresh.of(text)), Quoted: strings.Trim(s.quoted.of(text), "\n")}
}

// maxReplyLines is how many lines are looked at one by one; the rest of a longer
// text belongs where the last of them does.
const maxReplyLines = 50000

type replySplitter struct {
	lines  []string
	above  bool // aboveThisLine stands somewhere
	at     int
	octet  int // where the line at begins in the text
	fresh  ranges
	run    int // the line that begins the text since the last quote
	runAt  int // where it begins
	quoted ranges
}

// ranges are pieces of a text, each of whole lines without the last line end.
type ranges [][2]int

func (r *ranges) add(from, to int) {
	if n := len(*r); n > 0 && (*r)[n-1][1]+1 == from {
		(*r)[n-1][1] = to
		return
	}
	*r = append(*r, [2]int{from, to})
}

// of joins the pieces, as lines.
func (r ranges) of(text string) string {
	switch len(r) {
	case 0:
		return ""
	case 1:
		return text[r[0][0]:r[0][1]]
	}
	n := len(r) - 1
	for _, piece := range r {
		n += piece[1] - piece[0]
	}
	var b strings.Builder
	b.Grow(n)
	for i, piece := range r {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(text[piece[0]:piece[1]])
	}
	return b.String()
}

// pass goes on by n lines.
func (s *replySplitter) pass(n int) {
	for _, line := range s.lines[s.at : s.at+n] {
		s.octet += len(line) + 1
	}
	s.at += n
}

// step takes the next lines that belong together.
func (s *replySplitter) step() {
	line := s.lines[s.at]
	switch {
	case s.isDull(line) || strings.TrimSpace(line) == "":
		s.pass(1)
	case isQuoted(line):
		s.quote(1)
	case restIsQuoted(s.lines[s.at:], s.above):
		s.quote(len(s.lines) - s.at)
	default:
		n := attribution(s.lines[s.at:])
		switch {
		case n == 0:
			s.pass(1)
		case quoteFollows(s.lines[s.at+n:]):
			for strings.TrimSpace(s.lines[s.at+n]) == "" {
				n++
			}
			s.quote(n)
		default: // a quote without marks: it goes to the end
			s.quote(len(s.lines) - s.at)
		}
	}
}

// isDull tells quickly that a line is one of text and nothing else, as most are: it
// begins with a letter, has no colon, and no beginning of an introduction.
func (s *replySplitter) isDull(line string) bool {
	if line == "" || s.above || line[0]|0x20 < 'a' || line[0]|0x20 > 'z' || strings.IndexByte(line, ':') >= 0 || strings.IndexByte(line, "："[0]) >= 0 {
		return false
	}
	return !hasLead(line) || !hasDigit(line)
}

// quote moves n lines to the quote.
func (s *replySplitter) quote(n int) {
	s.endFresh()
	from := s.octet
	s.pass(n)
	s.quoted.add(from, s.octet-1)
	s.run, s.runAt = s.at, s.octet
}

// endFresh takes the lines since the last quote, without the signature.
func (s *replySplitter) endFresh() {
	kept := withoutSignature(s.lines[s.run:s.at])
	end := s.runAt
	for _, line := range kept {
		end += len(line) + 1
	}
	if len(kept) > 0 {
		s.fresh.add(s.runAt, end-1)
	}
	s.run, s.runAt = s.at, s.octet
}

func isQuoted(line string) bool {
	for i := range min(len(line), 8) {
		if line[i] != ' ' {
			return line[i] == '>'
		}
	}
	return false
}

// maxSignature is how many lines a signature has whose mark lacks its space.
const maxSignature = 15

// withoutSignature cuts lines at the signature.
func withoutSignature(lines []string) []string {
	tail := tailOf(lines)
	for i, line := range lines {
		if line == "-- " || i >= tail && (line == "--" || line == "— " || line == "-- \u00a0") {
			return lines[:i]
		}
	}
	// "Sent from my iPhone", the last words of the text
	for i := len(lines) - 1; i >= 0 && i >= len(lines)-6; i-- {
		if line := trimMark(lines[i]); line != "" {
			if isDeviceLine(line) {
				return lines[:i]
			}
			break
		}
	}
	return lines
}

// tailOf returns where the last lines begin that may be a signature.
func tailOf(lines []string) int {
	i := len(lines)
	for n := 0; i > 0; i-- {
		if strings.TrimSpace(lines[i-1]) != "" {
			if n++; n > maxSignature {
				break
			}
		}
	}
	return i
}

// deviceLines are what programs put below a text for their own praise.
var deviceLines = []string{
	"sent with proton", "sent via ", "sent using ", "get outlook for ",
	"von meinem ", "gesendet von ", "gesendet mit ", "diese nachricht wurde von meinem ", "envoyé de mon ", "envoyé depuis ", "envoyé à partir de ", "enviado desde ", "enviado de mi ", "enviado do ",
	"enviado a partir d", "inviato da ", "verstuurd vanaf ", "verzonden vanaf ", "verzonden met ", "skickat från ", "skickat med ", "sendt fra ", "sendt med ", "lähetetty ", "wysłane z ", "wysłano z ", "odesláno z",
	"отправлено с ", "отправлено из ", "надіслано з ", "发自我的", "來自我的", "從我的", "iphoneから送信", "나의 iphone", "iphone'umdan gönderildi", "iphone’umdan gönderildi", "trimis de pe ", "от моя ",
}

func isDeviceLine(line string) bool {
	if len(line) > 4*80 || utf8.RuneCountInString(line) > 80 || strings.HasSuffix(line, "?") {
		return false
	}
	low := strings.TrimLeft(strings.ToLower(line), "<[( ")
	// "Sent from my desk, where it is warm." is a sentence.
	if rest, ok := strings.CutPrefix(low, "sent from "); ok {
		return !strings.ContainsAny(rest, ",;:") && len(strings.Fields(rest)) <= 6
	}
	return slices.ContainsFunc(deviceLines, func(d string) bool { return strings.HasPrefix(low, d) })
}
