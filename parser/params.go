package parser

import (
	"sort"
	"strings"
)

// param is one parameter of a Content-Type or Content-Disposition field, its
// value decoded.
type param struct{ name, value string }

type params []param

// get returns the value of the parameter called name, which is lower case.
func (ps params) get(name string) string {
	for _, q := range ps {
		if q.name == name {
			return q.value
		}
	}
	return ""
}

// rawParam is a parameter before RFC 2231: one piece of a value, perhaps.
type rawParam struct {
	name     string // lower case, without the marks of RFC 2231
	value    string
	section  int  // -1 where the value is whole
	extended bool // percent-encoded
}

// readParams reads a structured value (RFC 2045 section 5.1): what stands
// before the first semicolon, lower case, and the parameters. It takes comments
// anywhere, values with white space and no quotes, quotes that never close, and
// parameters parted by white space alone.
func (p *parse) readParams(s, where string) (string, params) {
	if value, ps, ok := quickParams(s, p.lim.Params); ok {
		return value, ps
	}
	return p.slowParams(s, where)
}

func (p *parse) slowParams(s, where string) (string, params) {
	i := 0
	var k skipper
	for i < len(s) && s[i] != ';' {
		if s[i] == '(' {
			i = k.past(s, i)
			continue
		}
		i++
	}
	value := strings.TrimSpace(stripComments(s[:i]))
	if j := strings.IndexAny(value, " \t"); j > 0 && strings.Contains(value[j:], "=") {
		// RFC 2045 wants a semicolon here; some mail has none.
		p.problem(ProblemBadParameter, where, "no semicolon before the first parameter")
		s, i = value[j:], 0
		value = value[:j]
	} else if strings.IndexByte(value, '=') > 0 && !strings.Contains(value, "/") {
		value, i = "", 0 // parameters alone
	}
	var raws []rawParam
	for i < len(s) {
		if len(raws) >= p.lim.Params {
			p.problem(ProblemLimitParams, where, "the field has more parameters than the limit; the rest was left out")
			break
		}
		var r rawParam
		var ok bool
		r, i, ok = p.readParam(s, i, where, &k)
		if ok {
			raws = append(raws, r)
		}
	}
	return strings.ToLower(value), p.joinParams(raws, where)
}

// quickParams reads a value as RFC 2045 section 5.1 has it, in ASCII, and gives up
// at anything else: readParams would say the same of what it reads.
func quickParams(s string, limit int) (value string, ps params, ok bool) {
	i := 0
	for i < len(s) && (isPlainToken[s[i]] || s[i] == '/') {
		i++
	}
	value = strings.ToLower(s[:i])
	for i < len(s) {
		for i < len(s) && isWSP(s[i]) {
			i++
		}
		if i >= len(s) {
			return value, ps, value != ""
		}
		if s[i] != ';' {
			return "", nil, false
		}
		for i++; i < len(s) && isWSP(s[i]); i++ {
		}
		start := i
		for i < len(s) && isPlainToken[s[i]] {
			i++
		}
		if i == start && i == len(s) {
			break // a semicolon at the end
		}
		name := strings.ToLower(s[start:i])
		if ps == nil {
			ps = make(params, 0, 2)
		}
		if i == start || i+1 >= len(s) || s[i] != '=' || ps.has(name) || len(ps) >= limit {
			return "", nil, false
		}
		i++
		start = i
		if s[i] == '"' {
			for i++; i < len(s) && s[i] != '"' && s[i] >= ' ' && s[i] < 0x7f && s[i] != '\\' && (s[i] != '=' || s[i+1:] == "" || s[i+1] != '?'); i++ {
			}
			if i >= len(s) || s[i] != '"' {
				return "", nil, false
			}
			ps = append(ps, param{name, strings.TrimSpace(s[start+1 : i])})
			i++
			continue
		}
		for i < len(s) && (isPlainToken[s[i]] || s[i] == '/' || s[i] == ':') {
			i++
		}
		if i == start {
			return "", nil, false
		}
		ps = append(ps, param{name, s[start:i]})
	}
	return value, ps, value != ""
}

// isPlainToken has what a token is made of (RFC 2045 section 5.1), without the marks
// of RFC 2231 and without quotes.
var isPlainToken = func() (t [256]bool) {
	for c := range 128 {
		t[c] = isTokenRune(rune(c)) && c != '*' && c != '%' && c != '\''
	}
	return t
}()

// readParam reads the parameter at or after i and returns where the next one
// begins.
func (p *parse) readParam(s string, i int, where string, k *skipper) (rawParam, int, bool) {
	i = skipParamSpace(s, i, k)
	start := i
	for i < len(s) && s[i] != '=' && s[i] != ';' {
		i++
	}
	if i >= len(s) || s[i] == ';' {
		return rawParam{}, i, false
	}
	name := strings.ToLower(strings.TrimSpace(stripComments(s[start:i])))
	i++
	for i < len(s) && (isWSP(s[i]) || s[i] == '(') {
		if s[i] == '(' {
			i = k.past(s, i)
			continue
		}
		i++
	}
	r := rawParam{name: name, section: -1}
	r.splitName()
	if i < len(s) && s[i] == '"' {
		r.value, i = p.quotedValue(s, i, where)
	} else {
		r.value, i = bareValue(s, i, r.isFileName())
	}
	return r, i, r.name != ""
}

// skipParamSpace passes over what may stand between parameters.
func skipParamSpace(s string, i int, k *skipper) int {
	for i < len(s) {
		switch {
		case s[i] == ';' || isWSP(s[i]) || s[i] == ',':
			i++
		case s[i] == '(':
			i = k.past(s, i)
		default:
			return i
		}
	}
	return i
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func (r *rawParam) isFileName() bool { return r.name == "name" || r.name == "filename" }

// splitName takes the marks of RFC 2231 sections 3 and 4 off the name:
// "filename*", "filename*0", "filename*0*".
func (r *rawParam) splitName() {
	star := strings.IndexByte(r.name, '*')
	if star < 0 {
		return
	}
	mark := r.name[star+1:]
	r.name = r.name[:star]
	if mark == "" {
		r.extended = true
		return
	}
	if strings.HasSuffix(mark, "*") {
		r.extended = true
		mark = mark[:len(mark)-1]
	}
	n := 0
	for _, c := range []byte(mark) {
		if c < '0' || c > '9' || n > 1<<20 {
			return
		}
		n = n*10 + int(c-'0')
	}
	if mark != "" {
		r.section = n
	}
}

// quotedValue reads the quoted-string at i (RFC 5322 section 3.2.4). A
// backslash that escapes neither a quote nor a backslash is one of a Windows
// path and stays.
func (p *parse) quotedValue(s string, i int, where string) (string, int) {
	end := closingQuote(s, i+1)
	if end >= 0 {
		after := skipWSP(s, end+1)
		if after < len(s) && s[after] != ';' && s[after] != '(' && s[after] != ',' && !startsParam(s[after:]) {
			// Quotes within quotes, or one that was never closed.
			p.problem(ProblemBadParameter, where, "stray quotes in a parameter")
			stop := strings.IndexByte(s[i+1:], ';')
			if stop < 0 {
				stop = len(s)
			} else {
				stop += i + 1
			}
			if stop < end {
				return strings.TrimSpace(unescape(s[i+1 : stop])), stop
			}
			return unescape(strings.TrimSuffix(strings.TrimSpace(s[i+1:stop]), `"`)), stop
		}
		return unescape(s[i+1 : end]), end + 1
	}
	p.problem(ProblemBadParameter, where, "a closing quote is missing")
	stop := strings.IndexByte(s[i:], ';')
	if stop < 0 {
		stop = len(s)
	} else {
		stop += i
	}
	return strings.TrimSpace(unescape(s[i+1 : stop])), stop
}

// startsParam tells whether s begins like "name=".
func startsParam(s string) bool {
	eq := strings.IndexByte(s[:min(len(s), 60)], '=')
	return eq > 0 && !strings.ContainsAny(s[:eq], "\" \t;.")
}

func skipWSP(s string, i int) int {
	for i < len(s) && isWSP(s[i]) {
		i++
	}
	return i
}

// bareValue reads a value without quotes, up to the next semicolon. A file name
// may hold white space and brackets.
func bareValue(s string, i int, fileName bool) (string, int) {
	start := i
	if strings.HasPrefix(s[i:], "=?") {
		// An encoded-word, where RFC 2047 section 5 forbids one; it may hold a
		// semicolon.
		if e := strings.LastIndex(s[i:], "?="); e > 0 {
			if stop := strings.IndexByte(s[i+e:], ';'); stop >= 0 {
				return strings.TrimSpace(s[i : i+e+stop]), i + e + stop
			}
			return strings.TrimSpace(s[i:]), len(s)
		}
	}
	stop := strings.IndexByte(s[i:], ';')
	if stop < 0 {
		stop = len(s)
	} else {
		stop += i
	}
	v := strings.TrimSpace(s[start:stop])
	if strings.HasSuffix(v, ")") {
		if o := strings.IndexByte(v, '('); o >= 0 && (!fileName || o > 0 && isWSP(v[o-1])) {
			if c := skipComment(v, o); c == len(v) {
				v = strings.TrimSpace(v[:o])
			}
		}
	}
	if !fileName {
		if w := strings.IndexAny(v, " \t"); w > 0 {
			if strings.IndexByte(v[w:], '=') >= 0 {
				stop = start + strings.Index(s[start:], v) + w
			}
			v = v[:w]
		}
	}
	return strings.Trim(v, `"`), stop
}

// joinParams puts the pieces of RFC 2231 together and decodes every value. A
// value in the extended form wins over the plain one beside it.
func (p *parse) joinParams(raws []rawParam, where string) params {
	out := make(params, 0, len(raws))
	for i, r := range raws {
		if out.has(r.name) {
			continue
		}
		pieces := 0
		whole, ext := -1, -1
		for j := i; j < len(raws); j++ {
			q := &raws[j]
			if q.name != r.name {
				continue
			}
			switch {
			case q.section >= 0:
				pieces++
			case q.extended && ext < 0:
				ext = j
			case !q.extended && whole < 0:
				whole = j
			default:
				p.problem(ProblemBadParameter, where, "the parameter "+clip(r.name, 40)+" stands twice; the first holds")
			}
		}
		switch {
		case pieces > 0:
			out = append(out, param{r.name, p.joinPieces(raws[i:], r.name, where)})
		case ext >= 0:
			out = append(out, param{r.name, p.extendedValue([]rawParam{raws[ext]}, where)})
		default:
			out = append(out, param{r.name, p.decodeText(raws[whole].value, where)})
		}
	}
	return out
}

func (ps params) has(name string) bool {
	for _, q := range ps {
		if q.name == name {
			return true
		}
	}
	return false
}

// joinPieces orders the pieces of one value by number (RFC 2231 section 3).
func (p *parse) joinPieces(raws []rawParam, name, where string) string {
	var pieces []rawParam
	for _, r := range raws {
		if r.name == name && r.section >= 0 {
			pieces = append(pieces, r)
		}
	}
	sort.SliceStable(pieces, func(i, j int) bool { return pieces[i].section < pieces[j].section })
	kept := pieces[:0]
	for i, r := range pieces {
		if i > 0 && r.section == kept[len(kept)-1].section {
			p.problem(ProblemBadParameter, where, "two pieces of a parameter have one number; the first holds")
			continue
		}
		if want := len(kept); r.section != want {
			p.problemOnce(ProblemBadParameter, where, "a piece of a parameter is missing")
		}
		kept = append(kept, r)
	}
	extended := false
	for _, r := range kept {
		extended = extended || r.extended
	}
	if extended {
		return p.extendedValue(kept, where)
	}
	var b strings.Builder
	for _, r := range kept {
		b.WriteString(r.value)
	}
	return p.decodeText(b.String(), where)
}

// extendedValue decodes charset'language'percent-encoded text (RFC 2231
// section 4). The charset stands in the first piece only.
func (p *parse) extendedValue(pieces []rawParam, where string) string {
	charset := ""
	var octets []byte
	for i, r := range pieces {
		v := r.value
		if i == 0 && r.extended {
			if a := strings.IndexByte(v, '\''); a >= 0 {
				if b := strings.IndexByte(v[a+1:], '\''); b >= 0 {
					charset, v = v[:a], v[a+1+b+1:]
				}
			}
		}
		if r.extended {
			octets = appendPercentDecoded(octets, v)
		} else {
			octets = append(octets, v...)
		}
	}
	return oneLine(p.toUTF8(octets, charset, where))
}

// appendPercentDecoded undoes %XX; a percent sign without two digits stays.
func appendPercentDecoded(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return b
}

func isHex(c byte) bool { return hexValue[c] < 16 }

func unhex(c byte) byte { return hexValue[c] }

// hexValue is what a hexadecimal digit says, and 255 for every other octet.
var hexValue = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range "0123456789abcdef" {
		t[c] = byte(i)
	}
	for i, c := range "ABCDEF" {
		t[c] = byte(10 + i)
	}
	return t
}()
