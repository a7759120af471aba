package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/secret"
)

// The kinds of these tests, as small as shows what a kind can have.

type imapKeys struct {
	Folders []string `config:"folders" doc:"the folders mail is taken from"`
	Idle    bool     `config:"idle" doc:"also the moment mail arrives"`
	Search  struct {
		Since  time.Duration `config:"since"`
		Unseen bool          `config:"unseen"`
	} `config:"search"`
}

func (k *imapKeys) SetDefaults() { k.Folders, k.Idle = []string{"INBOX"}, true }

type pop3Keys struct{}

type webhookKeys struct {
	URL      string                   `config:"url,required" doc:"where to post"`
	Secret   secret.Secret            `config:"secret" doc:"signs every request"`
	Secrets  []secret.Secret          `config:"secrets"`
	Headers  map[string]secret.Secret `config:"headers"`
	Timeout  time.Duration            `config:"timeout"`
	Template string                   `config:"template,raw"`
	Extra    map[string]any           `config:"extra"`
	Port     uint16                   `config:"port"`
	Factor   float64                  `config:"factor"`
	Strict   *bool                    `config:"strict"`
}

func (k *webhookKeys) SetDefaults() { k.Timeout, k.Port = 15*time.Second, 443 }

// Keys that formats add.

type eventKeys struct {
	Mode string `config:"mode" enum:"structured,binary" doc:"where the attributes are"`
}

type bodyKeys struct {
	Body string        `config:"body,raw,required" doc:"the text"`
	Key  secret.Secret `config:"key" doc:"signs it"`
}

type fileKeys struct {
	Path string `config:"path,path" doc:"one line of JSON for each mail"`
	Dir  string `config:"dir,path"`
}

var kinds = config.Kinds{
	Mailboxes: map[string]any{"imap": imapKeys{}, "pop3": pop3Keys{}},
	Sinks:     map[string]any{"webhook": webhookKeys{}, "file": fileKeys{}},
	Formats:   map[string]any{"native": struct{}{}, "raw": struct{}{}, "cloudevents": eventKeys{}, "template": bodyKeys{}},
}

// read is a configuration with what the kinds made of their sections.
type read struct {
	*config.Config
	imap    map[string]*imapKeys
	webhook map[string]*webhookKeys
	file    map[string]*fileKeys
}

// load does what a command does: load, let each kind decode its own, finish.
func load(paths []string, o config.Options) (read, error) {
	r := read{imap: map[string]*imapKeys{}, webhook: map[string]*webhookKeys{}, file: map[string]*fileKeys{}}
	cfg, err := config.Load(paths, o)
	if cfg == nil {
		return r, err
	}
	r.Config = cfg
	errs := []error{err}
	for _, m := range cfg.Mailboxes {
		server, err := config.ParseServer(m.Server)
		switch scheme := server.Scheme; {
		case scheme == "imap" || scheme == "imaps":
			r.imap[m.Name] = &imapKeys{}
			errs = append(errs, m.Section.Decode(r.imap[m.Name]))
		case scheme == "pop3" || scheme == "pop3s":
			errs = append(errs, m.Section.Decode(&pop3Keys{}))
		case err == nil:
			errs = append(errs, m.Section.OneOf("server", scheme, []string{"imap", "imaps", "pop3", "pop3s"}))
		}
	}
	for _, s := range cfg.Sinks {
		switch s.Type {
		case "webhook":
			r.webhook[s.Name] = &webhookKeys{}
			errs = append(errs, s.Section.Decode(r.webhook[s.Name]))
		case "file":
			r.file[s.Name] = &fileKeys{}
			errs = append(errs, s.Section.Decode(r.file[s.Name]))
		case "":
		default:
			errs = append(errs, s.Section.OneOf("type", s.Type, []string{"file", "webhook"}))
		}
	}
	for _, s := range cfg.Sinks {
		switch s.Format {
		case "cloudevents":
			errs = append(errs, s.Section.Decode(&eventKeys{}))
		case "template":
			errs = append(errs, s.Section.Decode(&bodyKeys{}))
		}
	}
	errs = append(errs, cfg.Finish())
	return r, config.Join(errs...)
}

// environ makes a lookup and a list of the variables given as NAME=value.
func environ(vars ...string) config.Options {
	return config.Options{
		Environ: func() []string { return vars },
		Lookup: func(name string) (string, bool) {
			for _, v := range vars {
				if key, value, _ := strings.Cut(v, "="); key == name {
					return value, true
				}
			}
			return "", false
		},
	}
}

// mustLoad loads a configuration that has nothing wrong with it.
func mustLoad(t *testing.T, o config.Options, paths ...string) read {
	t.Helper()
	r, err := load(paths, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
