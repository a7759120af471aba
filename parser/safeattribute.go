package parser

import "strings"

// isPlainAttribute tells whether the policy keeps an attribute with this value as it
// is, of those that most mail has.
func isPlainAttribute(element, name, value string) bool {
	cell := element == "td" || element == "th"
	boxed := cell || element == "table" || element == "tr"
	switch name {
	case "href":
		return element == "a" && isPlainURL(value)
	case "src":
		return element == "img" && isPlainURL(value)
	case "width", "height", "border", "cellpadding", "cellspacing":
		return (boxed || element == "img") && len(value) <= 5 && isNumber(strings.TrimSuffix(value, "%"))
	case "colspan", "rowspan":
		return cell && len(value) <= 3 && isNumber(value)
	case "align":
		return (cell || element == "tr") && (value == "left" || value == "center" || value == "right")
	case "valign":
		return (cell || element == "tr") && (value == "top" || value == "middle" || value == "bottom")
	case "bgcolor":
		return boxed && len(value) == 7 && value[0] == '#' && strings.Trim(value[1:], "0123456789abcdefABCDEF") == ""
	case "alt":
		return element == "img" && isWords(value)
	case "id", "title":
		return value != "" && isWords(value)
	case "dir":
		return value == "ltr" || value == "rtl"
	case "lang":
		return len(value) >= 2 && isWords(value[:2]) && value[1] > '9' && value[0] > '9' && isWords(strings.ReplaceAll(value, "-", ""))
	case "color":
		return element == "font" && len(value) == 7 && value[0] == '#' && strings.Trim(value[1:], "0123456789abcdefABCDEF") == ""
	case "size":
		return element == "font" && len(value) == 1 && isNumber(value)
	case "face":
		return element == "font" && value != "" && len(value) < 200 && isWords(strings.ReplaceAll(value, ",", ""))
	}
	return false
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isWords tells whether s is made of ASCII letters, digits, and blanks within.
func isWords(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && (c != ' ' || i == 0) {
			return false
		}
	}
	return true
}

// isPlainURL tells whether the sanitiser leaves an address of the web as it stands:
// one without anything odd.
func isPlainURL(url string) bool {
	i, host := 0, 0
	switch {
	case strings.HasPrefix(url, "https://"):
		i = len("https://")
	case strings.HasPrefix(url, "http://"):
		i = len("http://")
	case strings.HasPrefix(url, "mailto:"):
		return isAddress(url[len("mailto:"):])
	case strings.HasPrefix(url, "cid:"):
		return isAddress(url[len("cid:"):])
	default:
		return false
	}
	for host = i; i < len(url) && urlClass[url[i]]&inHost != 0; i++ {
	}
	if i == host {
		return false
	}
	if i < len(url) && url[i] != '/' {
		return false
	}
	for ; i < len(url) && urlClass[url[i]]&inPath != 0; i++ {
	}
	if i == len(url) {
		return true
	}
	if url[i] != '?' {
		return false
	}
	for i++; i < len(url); i++ {
		if url[i] == '&' && strings.HasPrefix(url[i:], "&amp;") {
			i += len("&amp;") - 1
		} else if urlClass[url[i]]&inQuery == 0 {
			return false
		}
	}
	return true
}

// isAddress tells whether s is letters and digits, and "@", dots and hyphens.
func isAddress(s string) bool {
	for i := range len(s) {
		if s[i] != '@' && urlClass[s[i]]&inHost == 0 {
			return false
		}
	}
	return s != ""
}

// quickAttributes reads the attributes of a tag from i on. It returns how many may
// be kept and where the tag ends; false where the syntax is not the usual.
func quickAttributes(tag string, i int, kept *[8][2]int) (n, end int, selfClosing, ok bool) {
	for {
		blank := i
		for i < len(tag) && isHTMLSpace(tag[i]) {
			i++
		}
		switch {
		case i >= len(tag):
			return 0, 0, false, false
		case tag[i] == '>':
			return n, i + 1, false, true
		case tag[i] == '/':
			return n, i + 2, true, i+1 < len(tag) && tag[i+1] == '>'
		case blank == i:
			return 0, 0, false, false // no white space before an attribute
		}
		start := i
		var lower [maxElementName]byte
		for i < len(tag) && i-start < maxElementName && isAttributeOctet(tag[i]) {
			lower[i-start] = tag[i] | 0x20
			i++
		}
		name := lower[:i-start]
		if i >= len(tag) || i == start {
			return 0, 0, false, false
		}
		if tag[i] == '=' {
			if i++; i >= len(tag) {
				return 0, 0, false, false
			}
			if c := tag[i]; c == '"' || c == '\'' {
				close := strings.IndexByte(tag[i+1:], c)
				if close < 0 {
					return 0, 0, false, false
				}
				i += close + 2
			} else if isHTMLSpace(c) {
				return 0, 0, false, false // the value may follow
			} else {
				for i < len(tag) && isAttributeOctet(tag[i]) || i < len(tag) && (tag[i] == '#' || tag[i] == '%') {
					i++
				}
			}
		}
		if i >= len(tag) || !isHTMLSpace(tag[i]) && tag[i] != '>' && (tag[i] != '/' || tag[i-1] != '"' && tag[i-1] != '\'') {
			return 0, 0, false, false
		}
		if keptAttributes[string(name)] {
			if n == len(kept) {
				return 0, 0, false, false
			}
			kept[n] = [2]int{start, i}
			n++
		}
	}
}

func isHTMLSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\f' }

// isAttributeOctet tells what names of attributes, and values without quotes, are
// made of where they are not odd.
func isAttributeOctet(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == ':' || c == '_'
}
