package webhook

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

// target is where the requests of a sink go: one url, or one made of each mail.
type target struct {
	url      *url.URL      // without user; with holes, as it looks with words in them
	text     *payload.Text // nil: one url
	insecure bool
	// What holes are in.
	made     bool // anything
	hostMade bool // the host, or all of it
	holes    []where
}

// where in a url a hole stands.
type where int

const (
	inAll where = iota
	inHost
	inPath
	inQuery
)

// hole is the word in the place of a hole while the url is looked at.
func hole(n int) string { return holeWord + strconv.Itoa(n) + "x" }

const holeWord = "postferryhole"

// target reads the url and takes the user and password out of it.
func (o *Options) target() (*target, error) {
	t := &target{insecure: o.Insecure}
	sample := o.URL
	if strings.Contains(o.URL, "{{") {
		text, err := payload.CompileText(o.URL)
		if err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
		t.text, t.made = text, true
		sample = text.With(hole)
		if err := t.place(sample); err != nil {
			return nil, err
		}
		if t.holes[0] == inAll {
			t.url = &url.URL{Scheme: "https", Host: "url-of-the-mail.invalid"}
			return t, o.foreign()
		}
	}
	var err error
	if t.url, err = o.readURL(sample, t.hostMade); err != nil {
		return nil, err
	}
	if t.hostMade {
		return t, o.foreign()
	}
	return t, nil
}

// readURL reads a url and its user.
func (o *Options) readURL(text string, hostMade bool) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("url cannot be read; write it as https://host/path") // the parser's error would repeat it
	}
	if text == "" || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return nil, errors.New("url must be https://host/path or http://host/path")
	}
	if u.Scheme == "http" && !o.Insecure && (hostMade || !dial.IsLoopback(u.Hostname())) {
		return nil, errors.New("url is http:// to another machine, so mail and secrets would go in clear text: use https://, or set insecure: true")
	}
	if u.User != nil {
		if o.Basic.Username != "" {
			return nil, errors.New("url has a user and basic is set: keep one of them")
		}
		password, _ := u.User.Password()
		o.Basic = Basic{u.User.Username(), secret.New(password)}
		u.User = nil
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// foreign refuses what must not go to a host that a mail names.
func (o *Options) foreign() error {
	if o.Basic.Username != "" || !o.Bearer.IsZero() || len(o.Headers) > 0 {
		return errors.New("the url's host comes from the mail, and whoever it names would get basic, bearer and headers: take them out, or write the host out")
	}
	return nil
}

// place finds where the holes of the url stand.
func (t *target) place(sample string) error {
	scheme, rest, found := strings.Cut(sample, "://")
	if !found {
		if sample != hole(0) {
			return errors.New("url begins with a hole and goes on: let one hole give all of it, or write https:// out")
		}
		t.hostMade, t.holes = true, []where{inAll}
		return nil
	}
	authority := rest[:strings.IndexAny(rest+"/", "/?#")]
	query := len(rest)
	if i := strings.IndexByte(rest, '?'); i >= 0 {
		query = i
	}
	for n := 0; ; n++ {
		at := strings.Index(rest, hole(n))
		inAuthority := at >= 0 && at < len(authority)
		switch {
		case strings.Contains(scheme, hole(n)), inAuthority && (strings.ContainsAny(authority[:at], "@:") || strings.Contains(authority[at:], "@")):
			return errors.New("url: a hole stands in the scheme, the user or the port; write those out")
		case at < 0:
			return nil
		case inAuthority:
			t.hostMade = true
			t.holes = append(t.holes, inHost)
		case at < query:
			t.holes = append(t.holes, inPath)
		default:
			t.holes = append(t.holes, inQuery)
		}
	}
}

// suits refuses a url whose requests the guard would stop anyway, or that leaves
// the guard nothing to look at.
func (t *target) suits(o *Options, g *guard) error {
	switch {
	case !t.made && len(o.AllowNetworks) > 0:
		return errors.New("allow_networks is for urls with holes: this one is yours, and connected to wherever it leads")
	case !t.made:
		return nil
	case o.Proxy != "":
		return errors.New("part of the url comes from the mail, and behind a proxy nothing tells where it leads: take proxy out")
	}
	host := t.url.Hostname()
	ip, err := netip.ParseAddr(host)
	if !t.hostMade && (err == nil && !g.allows(ip) || err != nil && dial.IsLoopback(host) && len(g.allowed) == 0) {
		return fmt.Errorf("part of the url comes from the mail, and %s is not on the public Internet: if that is meant, set allow_networks: [%s]", host, suggestion(ip))
	}
	return nil
}

func suggestion(ip netip.Addr) string {
	if !ip.IsValid() {
		return "127.0.0.0/8, \"::1\""
	}
	return ip.String()
}

// of is the url for one mail. The error is the mail's fault.
func (t *target) of(d *sinks.Delivery) (*url.URL, error) {
	if t.text == nil {
		return t.url, nil
	}
	n := -1
	var bad error
	text, err := t.text.Fill(d, func(value string) string {
		n++
		switch t.holes[n] {
		case inHost:
			if value == "" || strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != "" {
				bad = errors.New("what the mail gives for the host is no host name")
			}
		case inPath:
			return url.PathEscape(strings.ToValidUTF8(value, "\uFFFD"))
		case inQuery:
			return url.QueryEscape(strings.ToValidUTF8(value, "\uFFFD"))
		}
		return value
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("what the mail makes of it is no url")
	}
	if t.holes[0] == inAll {
		if err := t.whole(u); err != nil {
			return nil, err
		}
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return nil, errors.New("what the mail gives makes the path lead upwards")
		}
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	return u, nil
}

// whole looks at a url of which the mail gave everything.
func (t *target) whole(u *url.URL) error {
	switch {
	case u.Scheme != "https" && !(u.Scheme == "http" && t.insecure):
		return errors.New("the url the mail gives is not https://")
	case u.Hostname() == "" || u.User != nil || u.Opaque != "":
		return errors.New("the url the mail gives is not https://host/path")
	case u.Port() != "" && u.Port() != portOf(u.Scheme, ""):
		return fmt.Errorf("the url the mail gives has a port other than %s", portOf(u.Scheme, ""))
	}
	return nil
}

// holds are urls made from mails that said they want no more (410): each is left
// alone by itself. They are of this process: after a restart each is asked once.
type holds struct {
	clock clock.Clock
	mu    sync.Mutex
	until map[[sha256.Size]byte]time.Time
}

const mostHolds = 10_000

func newHolds(c clock.Clock) *holds {
	return &holds{clock: c, until: map[[sha256.Size]byte]time.Time{}}
}

// left is how long the url is still held.
func (h *holds) left(u *url.URL) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.until[sha256.Sum256([]byte(u.String()))].Sub(h.clock.Now())
}

func (h *holds) hold(u *url.URL, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock.Now()
	if len(h.until) >= mostHolds {
		for key, until := range h.until {
			if !until.After(now) {
				delete(h.until, key)
			}
		}
	}
	if len(h.until) < mostHolds {
		h.until[sha256.Sum256([]byte(u.String()))] = now.Add(d)
	}
}
