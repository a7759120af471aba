package config

import (
	"strings"
	"testing"
)

func lookupOf(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := vars[name]
		return value, set
	}
}

// The forms with a colon are those of a POSIX shell (XCU 2.6.2).
func TestReferencesAreReplacedAsWritten(t *testing.T) {
	lookup := lookupOf(map[string]string{"A": "one", "EMPTY": "", "_B2": "two", "REF": "${A}", "DOLLAR": "$"})
	for _, c := range []struct{ text, want string }{
		{"plain", "plain"},
		{"${A}", "one"},
		{"<${A}>${_B2}", "<one>two"},
		{"${EMPTY}", ""},
		{"${A:-other}", "one"},
		{"${EMPTY:-other}", "other"},
		{"${UNSET:-other}", "other"},
		{"${UNSET:-}", ""},
		{"${UNSET:-a:b-c?d}", "a:b-c?d"},
		{"${UNSET:-${A}}", "one"},
		{"${UNSET:-${EMPTY:-${_B2}}!}", "two!"},
		{"${A:?said}", "one"},
		{"$${A}", "${A}"},
		{"$${", "${"},
		{"$$${A}", "$${A}"},
		{"$${A}${A}", "${A}one"},
		{"${UNSET:-$${A}}", "${A}"},
		{"$", "$"},
		{"$A", "$A"},
		{"a$", "a$"},
		{"$$", "$$"},
		{"5$ and {A}", "5$ and {A}"},
		{"flag:$Ferried", "flag:$Ferried"},
		{"${REF}", "${A}"}, // what a variable holds is not expanded again
		{"${DOLLAR}{A}", "${A}"},
		{"}", "}"},
	} {
		got, err := expand(c.text, lookup)
		if err != nil || got.text != c.want {
			t.Errorf("expand(%q) = %q, %v; want %q", c.text, got.text, err, c.want)
		}
	}
}

func TestWrongReferencesSayWhatToWrite(t *testing.T) {
	lookup := lookupOf(map[string]string{"A": "one", "EMPTY": ""})
	for _, c := range []struct{ text, want string }{
		{"${UNSET}", "${UNSET} is not set; set the variable UNSET"},
		{"${UNSET:?ask Ada}", "${UNSET} is not set or empty: ask Ada"},
		{"${EMPTY:?ask Ada}", "${EMPTY} is not set or empty: ask Ada"},
		{"${EMPTY:?}", "${EMPTY} is not set or empty; set the variable EMPTY"},
		{"${", "${ without its }"},
		{"${A", "${ without its }"},
		{"${A:-${B}", "${ without its }"},
		{"${}", "${} is not a reference"},
		{"${1A}", "${1A} is not a reference"},
		{"${A-B}", "${A-B} is not a reference"},
		{"${ A }", "${ A } is not a reference"},
		{"${ä}", "${ä} is not a reference"},
		{"${A:}", "${A:}: after the colon stands -default or ?message"},
		{"${A:+x}", "${A:+x}: after the colon stands -default or ?message"},
		{strings.Repeat("${U:-", 20) + strings.Repeat("}", 20), "more than 16 references within each other"},
	} {
		got, err := expand(c.text, lookup)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("expand(%q) = %q, %v; want an error with %q", c.text, got.text, err, c.want)
		}
	}
}

func TestExpansionIsBounded(t *testing.T) {
	lookup := lookupOf(map[string]string{"LONG": strings.Repeat("x", 100_000)})
	_, err := expand(strings.Repeat("${LONG}", 1000), lookup)
	if err == nil || !strings.Contains(err.Error(), "longer than 1 MiB once expanded") {
		t.Errorf("100 MB expanded: %v", err)
	}
}

// FuzzExpand holds expansion to what the documentation says of text without
// references, and to its bounds.
func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"", "$", "${A}", "$${A}", "${A:-${B:?no}}", "${A", "}${", "${:-}", "$$$${A}${"} {
		f.Add(seed, "value", "")
	}
	f.Fuzz(func(t *testing.T, text, a, b string) {
		lookup := lookupOf(map[string]string{"A": a, "B": b})
		got, err := expand(text, lookup)
		if !strings.Contains(text, "${") && (err != nil || got.text != text) {
			t.Fatalf("expand(%q) = %q, %v", text, got.text, err)
		}
		if err == nil && len(got.text) > maxExpanded+len(a)+len(b)+len(text) {
			t.Fatalf("expanded to %d octets", len(got.text))
		}
		escaped, err := expand(escape(text), lookup)
		if err != nil || !strings.HasSuffix(text, "$") && escaped.text != text {
			t.Fatalf("escape(%q) expands to %q, %v", text, escaped.text, err)
		}
	})
}
