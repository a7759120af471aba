package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Sink is what every sink has, whatever its type.
type Sink struct {
	Name            string
	Type            string           `config:"type,required" doc:"the kind of destination"`
	Format          string           `config:"format" doc:"how a message is written: native (the event of docs/payload.md), raw (the mail itself), or one of docs/formats"`
	Attachments     string           `config:"attachments" enum:"auto,inline,metadata,none,multipart,store" doc:"how attachments are sent: auto (inline up to 1 MiB in all, the rest described or linked), inline, metadata, none, multipart (files of a form beside the event) or store (kept by themselves, linked)"`
	AttachmentsTo   *AttachmentStore `config:"attachments_to" doc:"with attachments: store, where they are kept; the body has the url"`
	AttachmentsOnly *AttachmentsOnly `config:"attachments_only" doc:"which attachments are sent; the others are described, and with each: attachment left out"`
	Concurrency     int              `config:"concurrency" doc:"deliveries under way at once, at most"`
	Rate            Rate             `config:"rate" doc:"deliveries begun per time, as in 10/s or 100/1m; without it, no limit"`
	Order           string           `config:"order" enum:"mailbox,thread" doc:"deliveries go one after the other, in the order the mails were taken: all of a mailbox, or those of one thread (message.thread.key). A mail waits until the one before it has been accepted, is a dead letter or was forgotten; docs/routes.md. Without it, in no order"`
	Retry           Retry            `config:"retry" doc:"when a failed delivery is tried again"`

	// Section holds the keys of the type.
	Section *Section
	pos     position
}

const maxConcurrency = 1024

// SetDefaults sets what holds when the file says nothing.
func (s *Sink) SetDefaults() {
	s.Format, s.Attachments, s.Concurrency = "native", "auto", 4
}

// Validate checks what the single values cannot tell.
func (s *Sink) Validate() error {
	if s.Concurrency < 1 || s.Concurrency > maxConcurrency {
		return At("concurrency", fmt.Errorf("%d is not between 1 and %d", s.Concurrency, maxConcurrency))
	}
	return nil
}

func (s *Sink) decode() error {
	if err := checkName(s.Name); err != nil {
		return s.Section.error(s.pos, "", err)
	}
	d := &decoder{env: s.Section.env}
	if !d.want(s.Section.node, s.Section.path, mapping) {
		return d.errs
	}
	return s.Section.Decode(s)
}

// Rate is a number of things per time. The zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// String is the form it is written in: "10/s", "100/15m", or "" for no limit.
func (r Rate) String() string {
	if r.Count == 0 {
		return ""
	}
	per := FormatDuration(r.Per)
	if len(per) == 2 && per[0] == '1' {
		per = per[1:]
	}
	return strconv.Itoa(r.Count) + "/" + per
}

// MarshalText gives the form UnmarshalText reads.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads 10/s, 600/m, 1000/h, 5/d or 100/15m.
func (r *Rate) UnmarshalText(text []byte) error {
	count, per, found := strings.Cut(string(text), "/")
	n, err := parseInt(strings.TrimSpace(count), 32)
	per = strings.TrimSpace(per)
	if per != "" && strings.Trim(per, "smhd") == "" {
		per = "1" + per
	}
	d, durationErr := ParseDuration(per)
	if !found || err != nil || durationErr != nil || n < 1 || d <= 0 {
		return errors.New("wants a number per time, as in 10/s, 600/m or 100/15m")
	}
	*r = Rate{int(n), d}
	return nil
}

// Retry is a schedule of delivery attempts: the first at once, the next after
// each of Delays in turn, then one Every so long, until For has passed.
type Retry struct {
	Delays []time.Duration `config:"delays" doc:"the waits between the first tries"`
	Every  time.Duration   `config:"every" doc:"the wait after those"`
	For    time.Duration   `config:"for" doc:"how long it is tried at all; then the mail is a dead letter"`
	Jitter bool            `config:"jitter" doc:"false: wait exactly as long as said, not a random part of it"`
}

// SetDefaults sets the schedule of the documentation: 5s, 30s, 5m, 30m, 2h, 5h,
// 10h, then daily, for 7 days, with full jitter.
func (r *Retry) SetDefaults() {
	*r = Retry{
		Delays: []time.Duration{5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour},
		Every:  day,
		For:    7 * day,
		Jitter: true,
	}
}

// UnmarshalText reads none: one attempt and no other.
func (r *Retry) UnmarshalText(text []byte) error {
	if string(text) != "none" {
		return errors.New("wants none, or a block with delays, every and for")
	}
	r.Delays, r.Every, r.For = nil, 0, 0
	return nil
}

// Validate refuses schedules that would never wait or never end.
func (r *Retry) Validate() error {
	if len(r.Delays) > 100 {
		return At("delays", errors.New("more than 100 of them; use every"))
	}
	if r.For > 90*day {
		return At("for", fmt.Errorf("%s is longer than 90d", FormatDuration(r.For)))
	}
	if r.For > 0 && r.Every < time.Second {
		return At("every", errors.New("wants at least 1s"))
	}
	return nil
}
