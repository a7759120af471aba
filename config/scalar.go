package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// The plain scalars of YAML 1.2's core schema (section 10.3.2), less the number
// forms that YAML 1.1 reads differently: 010 is 8 there and yes is true.
var (
	decimal = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)
	based   = regexp.MustCompile(`^(0o[0-7]+|0x[0-9a-fA-F]+)$`)
	float   = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

func parseBool(s string) (bool, error) {
	switch s {
	case "true", "True", "TRUE":
		return true, nil
	case "false", "False", "FALSE":
		return false, nil
	}
	switch strings.ToLower(s) {
	case "yes", "on", "y":
		return false, fmt.Errorf("%q is a text in YAML 1.2; write true", s)
	case "no", "off", "n":
		return false, fmt.Errorf("%q is a text in YAML 1.2; write false", s)
	}
	return false, fmt.Errorf("wants true or false, has %q", shorten(s))
}

func parseInt(s string, bits int) (int64, error) {
	if err := wholeNumber(s); err != nil {
		return 0, err
	}
	v, err := strconv.ParseInt(s, base(s), bits)
	if err != nil {
		return 0, fmt.Errorf("%s is too large a number", shorten(s))
	}
	return v, nil
}

func parseUint(s string, bits int) (uint64, error) {
	if err := wholeNumber(s); err != nil {
		return 0, err
	}
	if strings.HasPrefix(s, "-") {
		return 0, fmt.Errorf("%s is negative", shorten(s))
	}
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), base(s), bits)
	if err != nil {
		return 0, fmt.Errorf("%s is too large a number", shorten(s))
	}
	return v, nil
}

func base(s string) int {
	if based.MatchString(s) {
		return 0 // strconv reads the prefix
	}
	return 10
}

func wholeNumber(s string) error {
	switch {
	case decimal.MatchString(s) || based.MatchString(s):
		return nil
	case len(s) > 1 && s[0] == '0' && strings.Trim(s, "0123456789") == "":
		return fmt.Errorf("%s begins with 0 and may mean two numbers; write %s, or 0o%s for octal", s, trimZeros(s), trimZeros(s))
	}
	return fmt.Errorf("wants a whole number, has %q", shorten(s))
}

func trimZeros(s string) string {
	if t := strings.TrimLeft(s, "0"); t != "" {
		return t
	}
	return "0"
}

func parseFloat(s string) (float64, error) {
	if !float.MatchString(s) {
		return 0, fmt.Errorf("wants a number, has %q", shorten(s))
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%s is too large a number", shorten(s))
	}
	return v, nil
}

// plainValue types a scalar for a target that takes any value.
func plainValue(s string) any {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return nil
	}
	if v, err := parseBool(s); err == nil {
		return v
	}
	if v, err := parseInt(s, 64); err == nil {
		return int(v)
	}
	if strings.Trim(s, "+-0123456789") == "" || !float.MatchString(s) {
		return s // 010, or longer than 64 bits
	}
	if v, err := parseFloat(s); err == nil {
		return v
	}
	return s
}
