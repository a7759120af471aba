package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of octets.
type Size int64

// units of a size, the larger ones first. KB is 1000 octets and KiB 1024.
var units = []struct {
	name   string
	octets int64
}{
	{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
	{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}, {"B", 1},
}

var errSize = errors.New("wants a size such as 500MB, 2GB or 2GiB, or 0")

// String is the shortest form that loses nothing: "2GB", "512KiB", "1500".
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && u.octets > 1 && int64(s)%u.octets == 0 {
			return strconv.FormatInt(int64(s)/u.octets, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText gives the form UnmarshalText reads.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads octets, or a number with a unit: 1500, 2GB, 1.5 GiB. The
// letter case of units does not count.
func (s *Size) UnmarshalText(text []byte) error {
	number, factor := string(text), int64(1)
	for _, u := range units {
		if at := len(number) - len(u.name); at > 0 && strings.EqualFold(number[at:], u.name) {
			number, factor = strings.TrimSuffix(number[:at], " "), u.octets
			break
		}
	}
	if n, err := parseInt(number, 64); err == nil && n >= 0 {
		if n > math.MaxInt64/factor {
			return fmt.Errorf("%s is too large a size", shorten(string(text)))
		}
		*s = Size(n * factor)
		return nil
	}
	x, err := parseFloat(number)
	if err != nil || x < 0 || factor == 1 {
		return errSize
	}
	if x *= float64(factor); x >= math.MaxInt64 {
		return fmt.Errorf("%s is too large a size", shorten(string(text)))
	}
	*s = Size(x)
	return nil
}
