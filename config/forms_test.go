package config_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/config"
)

func TestDurations(t *testing.T) {
	const d = 24 * time.Hour
	for _, c := range []struct {
		text string
		want time.Duration
		form string // as it is written back
	}{
		{"0", 0, "0"},
		{"0s", 0, "0"},
		{"10s", 10 * time.Second, "10s"},
		{"60s", time.Minute, "1m"},
		{"90s", 90 * time.Second, "1m30s"},
		{"1h30m", 90 * time.Minute, "1h30m"},
		{"500ms", 500 * time.Millisecond, "500ms"},
		{"1.5h", 90 * time.Minute, "1h30m"},
		{"7d", 7 * d, "7d"},
		{"1d12h", 36 * time.Hour, "1d12h"},
		{"24h", d, "1d"},
		{"1d0h1s", d + time.Second, "1d1s"},
		{"106751d", 106751 * d, "106751d"},
	} {
		got, err := config.ParseDuration(c.text)
		if err != nil || got != c.want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", c.text, got, err, c.want)
		}
		if form := config.FormatDuration(got); form != c.form {
			t.Errorf("FormatDuration(%v) = %q, want %q", got, form, c.form)
		}
	}
	for _, text := range []string{"", "7", "1.5", "d", "-1s", "-1d", "+1s", "1d-1h", "1w", "1d1d", "1.5d", "106752d", "99999999999d", "106751d24h", " 1s", "1 s", "1d0", "1_0s", "∞"} {
		if got, err := config.ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}

func TestRates(t *testing.T) {
	for _, c := range []struct {
		text, form string
		want       config.Rate
	}{
		{"10/s", "10/s", config.Rate{Count: 10, Per: time.Second}},
		{"600/m", "600/m", config.Rate{Count: 600, Per: time.Minute}},
		{"100/15m", "100/15m", config.Rate{Count: 100, Per: 15 * time.Minute}},
		{"5/d", "5/d", config.Rate{Count: 5, Per: 24 * time.Hour}},
		{"1 / 1h", "1/h", config.Rate{Count: 1, Per: time.Hour}},
	} {
		var got config.Rate
		if err := got.UnmarshalText([]byte(c.text)); err != nil || got != c.want || got.String() != c.form {
			t.Errorf("%q is %+v (%s), %v; want %+v (%s)", c.text, got, got, err, c.want, c.form)
		}
	}
	for _, text := range []string{"", "10", "10/", "/s", "0/s", "-1/s", "10/0", "10/w", "1.5/s", "10/s/s", "10/ss", "99999999999/s"} {
		var got config.Rate
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %+v, want an error", text, got)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		text, form string
		want       config.Size
	}{
		{"0", "0", 0},
		{"1500", "1500", 1500},
		{"1500B", "1500", 1500},
		{"10KB", "10KB", 10_000},
		{"10kb", "10KB", 10_000},
		{"10KiB", "10KiB", 10_240},
		{"5MB", "5MB", 5_000_000},
		{"5 MiB", "5MiB", 5 << 20},
		{"2GB", "2GB", 2_000_000_000},
		{"2GiB", "2GiB", 2 << 30},
		{"1.5GiB", "1536MiB", 3 << 29},
		{"3TB", "3TB", 3_000_000_000_000},
		{"3TiB", "3TiB", 3 << 40},
		{"9223372036854775807", "9223372036854775807", math.MaxInt64},
	} {
		var got config.Size
		if err := got.UnmarshalText([]byte(c.text)); err != nil || got != c.want || got.String() != c.form {
			t.Errorf("%q is %d (%s), %v; want %d (%s)", c.text, int64(got), got, err, int64(c.want), c.form)
		}
	}
	for _, text := range []string{"", "GB", "-1", "-1GB", "2G", "2Gi", "2 G B", "1.5", "1.5B", "010", "1e3", "two", "9223372036854775808", "9999999TiB", "1e300GB", "NaNGB", "2GB "} {
		var got config.Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %d, want an error", text, int64(got))
		}
	}
}

func TestActions(t *testing.T) {
	for _, c := range []struct {
		text string
		want config.After
	}{
		{"keep", config.After{Verb: "keep"}},
		{"seen", config.After{Verb: "seen"}},
		{"delete", config.After{Verb: "delete"}},
		{"delete:30d", config.After{Verb: "delete", Delay: 30 * 24 * time.Hour}},
		{"move:Processed", config.After{Verb: "move", Arg: "Processed"}},
		{"move:A:B/Ü c", config.After{Verb: "move", Arg: "A:B/Ü c"}},
		{"flag:$Ferried", config.After{Verb: "flag", Arg: "$Ferried"}},
		{`flag:\Flagged`, config.After{Verb: "flag", Arg: `\Flagged`}},
	} {
		var got config.After
		if err := got.UnmarshalText([]byte(c.text)); err != nil || got != c.want || got.String() != c.text {
			t.Errorf("%q is %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{"", "Keep", "keep:1d", "delete:", "delete:soon", "delete:-1d", "move", "move:", "move:a\nb", "flag", "flag:", "flag:a b", `flag:\Recent`, `flag:\*`, "flag:a(b", "flag:ä"} {
		var got config.After
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("after: %q is %+v, want an error", text, got)
		}
	}
	var failed config.Action
	if err := failed.UnmarshalText([]byte("delete:30d")); err == nil {
		t.Errorf("failed: delete:30d is %+v, want an error", failed)
	}
}

func TestBackfills(t *testing.T) {
	for _, c := range []struct {
		text string
		want config.Backfill
	}{
		{"none", config.Backfill{Mode: "none"}},
		{"all", config.Backfill{Mode: "all"}},
		{"7d", config.Backfill{Mode: "since", Age: 7 * 24 * time.Hour}},
	} {
		var got config.Backfill
		if err := got.UnmarshalText([]byte(c.text)); err != nil || got != c.want || got.String() != c.text {
			t.Errorf("%q is %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{"", "0", "7", "None", "since", "-7d"} {
		var got config.Backfill
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %+v, want an error", text, got)
		}
	}
}

func TestSchedulesComeWhenWritten(t *testing.T) {
	from := time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC) // a Sunday
	for _, c := range []struct{ text, next string }{
		{"@every 1m", "2026-03-01T12:01:30Z"},
		{"@every 1d", "2026-03-02T12:00:30Z"},
		{"  @every 90s ", "2026-03-01T12:02:00Z"},
		{"CRON_TZ=UTC 0 8 * * *", "2026-03-02T08:00:00Z"},
		{"TZ=UTC 0 8 * * *", "2026-03-02T08:00:00Z"},
		{"CRON_TZ=Europe/Berlin 0 8 * * *", "2026-03-02T07:00:00Z"},
		{"CRON_TZ=UTC */5 8-18 * * 1-5", "2026-03-02T08:00:00Z"},
		{"CRON_TZ=UTC 0 0 29 2 *", "2028-02-29T00:00:00Z"},
		{"CRON_TZ=UTC @hourly", "2026-03-01T13:00:00Z"},
		{"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-02T01:30:00Z"},
	} {
		s, err := config.ParseSchedule(c.text)
		if err != nil {
			t.Errorf("ParseSchedule(%q): %v", c.text, err)
		} else if got := s.Next(from).UTC().Format(time.RFC3339); got != c.next {
			t.Errorf("%q comes at %s, want %s", c.text, got, c.next)
		}
	}
}

// Each of these is accepted, rounded or a panic in robfig/cron v3.0.1, or is a
// common slip.
func TestSchedulesThatMeanSomethingElseAreRefused(t *testing.T) {
	for _, text := range []string{
		"", " ", "TZ=UTC", "CRON_TZ=", "CRON_TZ=UTC", "CRON_TZ=UTC ", "TZ=", "CRON_TZ=Nowhere/Here 0 8 * * *",
		"0 0 30 2 *", "0 0 31 4,6,9,11 *", "@every 1500ms", "@every 100ms", "@every 0", "@every -1m", "@every", "@every 5", "@every soon",
		"@fortnightly", "* * * *", "0 * * * * *", "60 * * * *", "* * * * 7", "H * * * *", "* * L * *", "1m",
		"CRON_TZ=UTC @every 1500ms", "TZ=UTC @every 100ms", strings.Repeat("*", 300),
	} {
		if s, err := config.ParseSchedule(text); err == nil {
			t.Errorf("ParseSchedule(%q) = %v, want an error", text, s)
		}
	}
}

func TestServers(t *testing.T) {
	for _, c := range []struct {
		text    string
		want    config.Server
		address string // with the port 993 where there is none
	}{
		{"imaps://imap.example.com", config.Server{Scheme: "imaps", Host: "imap.example.com"}, "imap.example.com:993"},
		{"imaps://imap.example.com/", config.Server{Scheme: "imaps", Host: "imap.example.com"}, "imap.example.com:993"},
		{"POP3S://pop.example.com:995", config.Server{Scheme: "pop3s", Host: "pop.example.com", Port: 995}, "pop.example.com:995"},
		{"imap://[2001:db8::1]", config.Server{Scheme: "imap", Host: "2001:db8::1"}, "[2001:db8::1]:993"},
		{"smtp://[::1]:25", config.Server{Scheme: "smtp", Host: "::1", Port: 25}, "[::1]:25"},
	} {
		got, err := config.ParseServer(c.text)
		if err != nil || got != c.want || got.Address(993) != c.address {
			t.Errorf("ParseServer(%q) = %+v (%s), %v; want %+v (%s)", c.text, got, got.Address(993), err, c.want, c.address)
		}
	}
	for _, text := range []string{"", "imaps", "imaps:", "imaps://", "//host", "host", "host:993", "imaps:host", "imaps://u@host", "imaps://u:p@host", "imaps://:993", "imaps://host:0", "imaps://host:65536", "imaps://host:x", "imaps://host/INBOX", "imaps://host?x", "imaps://host#x", "imaps://ho st"} {
		if got, err := config.ParseServer(text); err == nil {
			t.Errorf("ParseServer(%q) = %+v, want an error", text, got)
		} else if text != "" && len(text) > 12 && strings.Contains(err.Error(), text) {
			t.Errorf("ParseServer(%q) repeats the text, in which a password may be: %v", text, err)
		}
	}
}

// The SHA-256 of no octets, in the three ways it is commonly written.
func TestPins(t *testing.T) {
	want := [32]byte{0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
		0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55}
	const hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	colons := strings.ToUpper(hex[:2])
	for i := 2; i < len(hex); i += 2 {
		colons += ":" + strings.ToUpper(hex[i:i+2])
	}
	for _, text := range []string{hex, colons, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="} {
		if got, err := config.ParsePin(text); err != nil || got != want {
			t.Errorf("ParsePin(%q) = %x, %v", text, got, err)
		}
	}
	for _, text := range []string{"", hex[:62], "47DEQpj8HBSa", "sha1//" + hex} {
		if _, err := config.ParsePin(text); err == nil {
			t.Errorf("ParsePin(%q) has no error", text)
		}
	}
}

func TestNearestWord(t *testing.T) {
	words := []string{"password", "schedule", "settle_wait", "to", "url"}
	for _, c := range []struct{ word, want string }{
		{"shedule", "schedule"}, {"passwrod", "password"}, {"Password", "password"}, {"settle-wait", "settle_wait"},
		{"colour", ""}, {"ur", "url"}, {"x", ""}, {"", ""}, {strings.Repeat("password", 20), ""},
	} {
		if got := config.Nearest(c.word, words); got != c.want {
			t.Errorf("Nearest(%q) = %q, want %q", c.word, got, c.want)
		}
	}
}
