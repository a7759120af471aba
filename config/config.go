package config

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"time"

	"github.com/spf13/pflag"

	"github.com/postferry/postferry/internal/secret"
)

// Config is a loaded configuration. It does not change; a reload loads another.
type Config struct {
	Version    int           // 1
	Store      Store         // where the spool is
	Retain     time.Duration // delivered mail is kept this long for replay; 0: not at all
	Listen     string        // host:port of health, metrics and API; "": off
	Quota      Size          // what the store may take of the disk; 0: no limit
	PublicURL  string        // where the address of Listen is reached from outside; "": no links to attachments
	LinkSecret secret.Secret // signs such links
	Mailboxes  []*Mailbox    // in the order of the files
	Sinks      []*Sink       // in the order of the files
	Files      []string      // read, in order
	Dir        string        // absolute folder of the first file

	env      *environment
	root     *node
	notes    []string
	defaults *node
}

// Options say what a load looks at besides the files.
type Options struct {
	// Flags by key path, such as "store" or "listen"; one that was given on the
	// command line wins over variable and file.
	Flags map[string]*pflag.Flag
	// Lookup gives an environment variable; nil means os.LookupEnv.
	Lookup func(name string) (string, bool)
	// Environ lists the environment as NAME=value, for a warning about variables
	// that override nothing; nil means os.Environ if Lookup is nil too, else none.
	Environ func() []string
	// SkipSecrets leaves password_file unread and password_command unrun: such
	// secrets stay empty. For commands that only look at the configuration.
	SkipSecrets bool
}

// top are the keys of the file itself.
type top struct {
	Version int           `config:"version,required" enum:"1" doc:"1, the version of this format"`
	Store   string        `config:"store" doc:"where mail is kept until it is delivered: sqlite:FILE, relative to this file, or to $STATE_DIRECTORY if that is set"`
	Retain  time.Duration `config:"retain" doc:"delivered mail is kept for replay this long; 0: not at all"`
	Listen  string        `config:"listen" doc:"address of health checks, metrics and the API; empty: off"`
	Quota   Size          `config:"quota" doc:"what the store may take of the disk, as in 2GB or 500MiB; 0: no limit"`

	PublicURL  string        `config:"public_url" doc:"https:// address at which others reach listen: attachments that are not in a body get links there, good for as long as the mail is retained (docs/attachments.md)"`
	LinkSecret secret.Secret `config:"link_secret" doc:"signs those links: 16 characters or more. Make one with: openssl rand -base64 32"`
}

var topType = reflect.TypeFor[top]()

func (t *top) SetDefaults() {
	t.Store, t.Retain, t.Listen = "sqlite:postferry.db", 7*day, "127.0.0.1:8425"
}

func (t *top) Validate() error {
	if t.Version != 1 {
		return At("version", fmt.Errorf("%d is not known to this postferry; write 1", t.Version))
	}
	if 0 < t.Quota && t.Quota < minQuota {
		return At("quota", fmt.Errorf("%s is less than a store needs; write 1MB or more, or 0 for no limit", t.Quota))
	}
	if err := t.checkLinks(); err != nil {
		return err
	}
	return At("listen", checkListen(t.Listen))
}

// checkLinks refuses links that nobody could follow, or anybody could make.
func (t *top) checkLinks() error {
	if t.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(t.PublicURL)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return At("public_url", errors.New("wants https://host, perhaps with a path"))
	case t.Listen == "":
		return At("public_url", errors.New("listen is off, so nothing would answer there"))
	case !t.LinkSecret.IsZero() && len(t.LinkSecret.Reveal()) < 16:
		return At("link_secret", errors.New("has fewer than 16 characters; make one with: openssl rand -base64 32"))
	}
	return nil
}

// minQuota is below what any store can work with: a unit was forgotten.
const minQuota = 1_000_000

// blocks are the top-level keys that are read by themselves.
var blocks = []string{"defaults", "mailboxes", "sinks"}

// Mailbox gives the mailbox of that name, or nil.
func (c *Config) Mailbox(name string) *Mailbox {
	for _, m := range c.Mailboxes {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Sink gives the sink of that name, or nil.
func (c *Config) Sink(name string) *Sink {
	for _, s := range c.Sinks {
		if s.Name == name {
			return s
		}
	}
	return nil
}
