package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// ParseDuration reads a length of time as written in the configuration: Go's
// form with days before it, "30d", "1d12h", "1h30m", "10s", "500ms", or "0". A
// day is 24 hours. A number without a unit and a negative length are errors.
func ParseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	if s == "" {
		return 0, errors.New("empty; write a length of time such as 10s, 1h30m or 7d")
	}
	rest, total := s, time.Duration(0)
	if number, after, found := strings.Cut(s, "d"); found {
		days, err := strconv.ParseUint(number, 10, 32)
		if err != nil || days > math.MaxInt64/uint64(day) {
			return 0, wrongDuration(s)
		}
		total, rest = time.Duration(days)*day, after
	}
	if rest == "" {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || strings.ContainsAny(rest, "+-") || rest == "0" || total > math.MaxInt64-d {
		return 0, wrongDuration(s)
	}
	return total + d, nil
}

func wrongDuration(s string) error {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return fmt.Errorf("%q has no unit; write 10s, 5m, 1h30m or 7d", s)
	}
	return fmt.Errorf("%q is not a length of time; write 10s, 5m, 1h30m or 7d", shorten(s))
}

// FormatDuration writes d in the form ParseDuration reads, as short as it goes.
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	var text string
	if days := d / day; days > 0 {
		text = strconv.FormatInt(int64(days), 10) + "d"
		d %= day
	}
	if d == 0 {
		return text
	}
	rest := d.String()
	if strings.HasSuffix(rest, "m0s") {
		rest = strings.TrimSuffix(rest, "0s")
	}
	if strings.HasSuffix(rest, "h0m") {
		rest = strings.TrimSuffix(rest, "0m")
	}
	return text + rest
}
