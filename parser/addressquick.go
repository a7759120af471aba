package parser

// quickAddresses reads a list that is written as most are, and appends it to list:
// ada@example.com, <ada@example.com>, Ada Byron <ada@example.com> or "Byron, Ada"
// <ada@example.com>, in ASCII, with commas between. It gives up (false) at anything
// else, and at a list longer than the limit; addressList, which would say the same
// of what it reads, then reads all of it.
func quickAddresses(list []Address, s string, limit int) ([]Address, bool) {
	for i := 0; ; {
		for i < len(s) && s[i] == ' ' {
			i++
		}
		var a Address
		var ok bool
		if a, i, ok = quickAddress(s, i); !ok || len(list) >= limit {
			return nil, false
		}
		list = append(list, a)
		for i < len(s) && s[i] == ' ' {
			i++
		}
		if i == len(s) {
			return list, true
		}
		if s[i] != ',' {
			return nil, false
		}
		i++
	}
}

// quickAddress reads the address that begins at i, and returns where it ends.
func quickAddress(s string, i int) (a Address, end int, ok bool) {
	start := i
	name := ""
	if i < len(s) && s[i] == '"' {
		for i++; i < len(s) && addressClass[s[i]]&inQuotes != 0; i++ {
		}
		if i+1 >= len(s) || s[i] != '"' || s[i+1] != ' ' {
			return a, 0, false
		}
		name = s[start+1 : i]
		if name == "" || name[0] == ' ' || name[len(name)-1] == ' ' {
			return a, 0, false
		}
		for i++; i < len(s) && s[i] == ' '; i++ {
		}
	} else {
		last := 0 // where the name ends, without white space
		for ; i < len(s) && addressClass[s[i]]&inName != 0; i++ {
			if s[i] != ' ' {
				last = i + 1
			}
		}
		if i < len(s) && s[i] == '@' { // no name, but the local part of an address
			email, end := quickSpec(s, start)
			return Address{Email: email}, end, email != ""
		}
		if last > start {
			name = s[start:last]
		}
	}
	if i >= len(s) || s[i] != '<' {
		return a, 0, false
	}
	email, end := quickSpec(s, i+1)
	if email == "" || end >= len(s) || s[end] != '>' {
		return a, 0, false
	}
	a.Email = email
	if name != "" {
		a.Name = &name
	}
	return a, end + 1, true
}

// quickSpec reads an address without its brackets; "" where it is none of the
// usual ones.
func quickSpec(s string, i int) (email string, end int) {
	start, at := i, -1
	for ; i < len(s) && (addressClass[s[i]]&inSpec != 0 || s[i] == '@' && at < 0); i++ {
		if s[i] == '@' {
			at = i
		}
	}
	if at <= start || at+1 >= i || s[i-1] == '.' {
		return "", 0
	}
	return s[start:i], i
}

// What an octet may stand in.
const (
	inSpec   = 1 << iota // local part and domain
	inName               // a name without quotes
	inQuotes             // a name in quotes
)

var addressClass = func() (t [256]byte) {
	for c := '0'; c <= 'z'; c++ {
		if c <= '9' || c >= 'a' || c >= 'A' && c <= 'Z' {
			t[c] = inSpec | inName | inQuotes
		}
	}
	for _, c := range []byte("-_.+&/!#") {
		t[c] = inSpec | inName | inQuotes
	}
	t[' '] = inName | inQuotes
	for _, c := range []byte(",()") {
		t[c] = inQuotes
	}
	return t
}()
