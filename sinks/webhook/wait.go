package webhook

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What a receiver asks for is heeded between these.
const (
	maxWait = 24 * time.Hour
	minWait = time.Second
)

// retryAfter reads Retry-After (RFC 9110, section 10.2.3): seconds or a date,
// clamped to between a second and a day. What it cannot read it does not heed.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && seconds > 0, err == nil && seconds > int64(maxWait/time.Second):
		return maxWait, true
	case errors.Is(err, strconv.ErrRange):
		return minWait, true
	case err == nil:
		return max(minWait, time.Duration(seconds)*time.Second), true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(now), minWait), maxWait), true
}

// retryIn reads the wait some receivers put into the JSON of an answer: a number
// of seconds under retry_after, at the top or in an object called parameters. It
// is clamped like Retry-After.
func retryIn(body any) (time.Duration, bool) {
	top, _ := body.(map[string]any)
	within, _ := top["parameters"].(map[string]any)
	for _, m := range []map[string]any{top, within} {
		if wait, ok := secondsOf(m["retry_after"]); ok {
			return wait, true
		}
	}
	return 0, false
}

// secondsOf clamps a number of JSON; a text or anything else is none.
func secondsOf(v any) (time.Duration, bool) {
	n, ok := v.(float64)
	if !ok || math.IsNaN(n) {
		return 0, false
	}
	n = min(max(n, minWait.Seconds()), maxWait.Seconds())
	return time.Duration(math.Round(n*1000)) * time.Millisecond, true
}
