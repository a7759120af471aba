package oauth

import (
	"fmt"
	"time"
)

// lapse is when the refresh token ends, as far as its server tells
// (refresh_token_expires_in, which Google and others send).
type lapse struct {
	at     time.Time // zero: not known, or never
	moves  bool      // each refresh brings a later end
	warned time.Time
}

// note learns from an answer, and gives the warning that is due, if any.
func (l *lapse) note(got answer, now time.Time) string {
	before := *l
	l.at, l.moves = time.Time{}, false
	if got.refreshLife > 0 {
		l.at = now.Add(got.refreshLife)
		l.moves = got.rotated && (before.at.IsZero() || l.at.After(before.at.Add(time.Second)))
	}
	text := l.warning(now)
	if text == "" || now.Sub(l.warned) < warnEvery {
		return ""
	}
	l.warned = now
	return text
}

// warning says that the refresh token ends soon and stays as it is.
func (l *lapse) warning(now time.Time) string {
	left := l.at.Sub(now)
	if l.at.IsZero() || l.moves || left > dying {
		return ""
	}
	return fmt.Sprintf("the refresh token ends on %s, in %s: sign in again and configure the new one before that",
		l.at.UTC().Format("2 January 2006 15:04 MST"), left.Round(time.Minute))
}
