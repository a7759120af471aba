package compose

import (
	"errors"
	"fmt"
	netmail "net/mail"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/postferry/postferry/parser"
)

// The longest address and its parts, in octets (RFC 5321, section 4.5.3.1: a path
// has 256 with its brackets).
const (
	longestAddress = 254
	longestLocal   = 64
	longestName    = 120
)

// cleanAddress is an address as it goes into a path and a header field: a
// dot-string and a domain whose labels are US-ASCII (RFC 5890), or an address
// literal. What quotes, spaces, comments or routes it has is refused rather than
// understood.
func cleanAddress(s string) (string, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", fmt.Errorf("%q is no address: it has no @", clip(oneLine(s), 100))
	}
	local, domain := s[:at], s[at+1:]
	bad := func(why string) (string, error) {
		return "", fmt.Errorf("%q is no address that mail is sent to: %s", clip(oneLine(s), 100), why)
	}
	if local == "" || len(local) > longestLocal {
		return bad("what stands before the @ is empty, or longer than 64 octets")
	}
	for _, atom := range strings.Split(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool {
			return r < utf8.RuneSelf && !isAtext(byte(r)) || r == utf8.RuneError || r >= utf8.RuneSelf && (breaks(r) || unicode.IsSpace(r) || !unicode.IsGraphic(r))
		}) {
			return bad("what stands before the @ has empty or forbidden parts")
		}
	}
	if literal, ok := strings.CutPrefix(domain, "["); ok {
		if ip, err := netip.ParseAddr(strings.TrimPrefix(strings.TrimSuffix(literal, "]"), "IPv6:")); !strings.HasSuffix(literal, "]") || err != nil || ip.Zone() != "" {
			return bad("what stands after the @ is no address literal")
		}
	} else {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil || !isDomain(ascii) {
			return bad("what stands after the @ is no domain")
		}
		domain = ascii
	}
	if len(local)+1+len(domain) > longestAddress {
		return bad("it is longer than 254 octets")
	}
	return local + "@" + domain, nil
}

// isDomain tells a domain of letters, digits and hyphens (RFC 5321, section 4.1.2).
func isDomain(s string) bool {
	for _, label := range strings.Split(s, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return !strings.ContainsRune(letters+"-", r) }) || strings.Trim(label, "-") != label {
			return false
		}
	}
	return true
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// cleaned is an address with a clean path, and a name without line ends.
func cleaned(a parser.Address) (parser.Address, error) {
	email, err := cleanAddress(a.Email)
	if err != nil {
		return parser.Address{}, err
	}
	out := parser.Address{Email: email}
	if a.Name != nil {
		if name := clip(strings.TrimSpace(oneLine(*a.Name)), longestName); name != "" {
			out.Name = &name
		}
	}
	return out, nil
}

// addressText is one element of an address list.
func addressText(a parser.Address) string {
	if a.Name == nil {
		return a.Email
	}
	return phrase(*a.Name) + " <" + a.Email + ">"
}

// isASCII tells whether an address can go without SMTPUTF8.
func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// sameBox makes alike what reaches one mailbox: without regard to case, and
// without a tag.
func sameBox(address string) string {
	local, domain, _ := strings.Cut(strings.ToLower(address), "@")
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		local, domain = strings.ToLower(address[:at]), strings.ToLower(address[at+1:])
	}
	local, _, _ = strings.Cut(local, "+")
	return local + "@" + domain
}

// without is a list without the boxes that are in the set, which it adds those of
// the list to: each box comes once.
func without(list []parser.Address, seen map[string]bool) []parser.Address {
	var out []parser.Address
	for _, a := range list {
		if key := sameBox(a.Email); !seen[key] {
			seen[key] = true
			out = append(out, a)
		}
	}
	return out
}

// readable are those of a mail's addresses that mail can be sent to.
func readable(list []parser.Address) []parser.Address {
	var out []parser.Address
	for _, a := range list {
		if c, err := cleaned(a); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// ParseAddresses reads an address list, as people write it: "Ada <ada@example.com>,
// b@example.com". The error says what of it mail cannot be sent to.
func ParseAddresses(s string) ([]parser.Address, error) { return parseList(s) }

// parseList reads an address list, as operators and header fields write it.
func parseList(s string) ([]parser.Address, error) {
	list, err := netmail.ParseAddressList(s)
	if err != nil {
		return nil, fmt.Errorf("%q is no list of addresses (%s)", clip(oneLine(s), 100), strings.TrimPrefix(err.Error(), "mail: "))
	}
	var out []parser.Address
	var errs []error
	for _, a := range list {
		c, err := cleaned(parser.Address{Name: &a.Name, Email: a.Address})
		errs = append(errs, err)
		out = append(out, c)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}
