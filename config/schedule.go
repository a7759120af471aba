package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// ParseSchedule reads when a mailbox is looked at: "@every 1m", "@hourly" and
// the like, or the five fields of crontab(5), with "CRON_TZ=Zone " before them
// if they are not in local time. It refuses what robfig/cron accepts but does
// otherwise than written: intervals below or between seconds, and dates that
// never come.
func ParseSchedule(text string) (schedule cron.Schedule, err error) {
	defer func() {
		if r := recover(); r != nil { // cron v3.0.1 slices without looking
			schedule, err = nil, fmt.Errorf("%q is not a schedule", shorten(text))
		}
	}()
	if len(text) > 256 {
		return nil, errors.New("longer than 256 characters")
	}
	spec := strings.TrimSpace(text)
	// "TZ=UTC" with no space after it panics in cron v3.0.1 (its issue 554).
	when := spec
	if zone, rest, _ := strings.Cut(spec, " "); strings.Contains(zone, "TZ=") {
		if when = strings.TrimSpace(rest); when == "" {
			return nil, fmt.Errorf("after the zone stand the five fields, as in %s 0 8 * * *", shorten(zone))
		}
	}
	if every, found := strings.CutPrefix(when, "@every "); found {
		return parseEvery(strings.TrimSpace(every))
	}
	schedule, err = cron.ParseStandard(spec)
	if err != nil {
		return nil, fmt.Errorf("%q is not a schedule (%w); write \"@every 1m\" or five fields: minute hour day month weekday", shorten(text), err)
	}
	// Five years from here have every date there is, 29 February included.
	if schedule.Next(time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("%q names a date that never comes", shorten(text))
	}
	return schedule, nil
}

// parseEvery reads an interval; cron would round 1500ms to 1s without a word.
func parseEvery(text string) (cron.Schedule, error) {
	d, err := ParseDuration(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("@every: %w", err)
	case d < time.Second || d%time.Second != 0:
		return nil, fmt.Errorf("@every %s: write whole seconds, 1s at least", shorten(text))
	}
	return cron.Every(d), nil
}
