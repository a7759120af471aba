package exec

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

// prefix is that of the variables that tell of the delivery.
const prefix = "POSTFERRY_"

// inherited are what a program gets of postferry's own environment: not the
// passwords that may be in it.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SystemRoot"}

// fixed is the part of the environment that is the same for every mail.
func (o *Options) fixed() []string {
	var list []string
	for _, name := range inherited {
		if _, set := o.Env[name]; set {
			continue
		}
		if value, ok := os.LookupEnv(name); ok {
			list = append(list, name+"="+value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Env)) {
		list = append(list, name+"="+o.Env[name].Reveal())
	}
	return list
}

// facts are the variables that tell of the delivery. Nothing in them was written by
// the sender of the mail: names are the operator's, the rest is postferry's own.
func facts(d *sinks.Delivery, body *payload.Body) []string {
	list := []string{
		prefix + "ID=" + d.ID,
		prefix + "ATTEMPT=" + strconv.Itoa(d.Attempt),
		prefix + "TIMESTAMP=" + d.Timestamp.UTC().Format(time.RFC3339),
		prefix + "MAILBOX=" + plain(d.Origin.Name),
		prefix + "PROTOCOL=" + plain(d.Origin.Protocol),
		prefix + "CONTENT_TYPE=" + plain(body.ContentType),
		prefix + "CONTENT_LENGTH=" + strconv.FormatInt(body.Size(), 10),
	}
	if d.Origin.Folder != nil {
		list = append(list, prefix+"FOLDER="+plain(*d.Origin.Folder))
	}
	if d.Part != "" {
		list = append(list, prefix+"PART="+plain(d.Part))
	}
	return list
}

// longestFact is how much of a name a variable has, in octets.
const longestFact = 1 << 10

// plain is a name on one line, which no shell takes for a function of its own.
func plain(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), longestFact)], "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), longestFact)], ""))
	for strings.HasPrefix(s, "()") {
		s = s[2:]
	}
	return s
}
