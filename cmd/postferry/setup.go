package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/backoff"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/oauth"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/webhook"
	"github.com/postferry/postferry/spool"
)

// setup is a configuration whose every section was read by the kind it belongs
// to. Nothing has been opened or connected to.
type setup struct {
	*config.Config
	mailboxes []mailboxSetup
	sinks     []sinkSetup
	asks      map[string][]string // by sink, those that its answers may ask for mail
}

type mailboxSetup struct {
	*config.Mailbox
	kind   mailboxKind
	open   opener
	routes []sinks.Route
}

type sinkSetup struct {
	*config.Sink
	make     maker
	renderer payload.Renderer
	env      sinks.Env
}

// load reads the configuration. All that is wrong with it is in the one error,
// which exits with 78.
func (c *cli) load(flags *pflag.FlagSet, skipSecrets bool) (*setup, error) {
	o := config.Options{Flags: map[string]*pflag.Flag{}, SkipSecrets: skipSecrets}
	if flags != nil {
		for _, name := range []string{"store", "listen"} {
			if f := flags.Lookup(name); f != nil && f.Changed {
				o.Flags[name] = f
			}
		}
	}
	if c.env != nil {
		o.Lookup, o.Environ = c.lookup, func() []string { return c.env }
	}
	cfg, err := config.Load(c.configs, o)
	if cfg == nil {
		return nil, configError(err)
	}
	s := &setup{Config: cfg, asks: map[string][]string{}}
	errs := []error{err}
	for _, m := range cfg.Mailboxes {
		errs = append(errs, s.mailbox(m))
	}
	for _, k := range cfg.Sinks {
		errs = append(errs, s.sink(k))
	}
	for _, k := range cfg.Sinks {
		errs = append(errs, s.asked(k))
	}
	errs = append(errs, cfg.Finish())
	if err := config.Join(errs...); err != nil {
		return nil, configError(err)
	}
	if err := s.tryKinds(skipSecrets); err != nil {
		return nil, configError(err)
	}
	return s, nil
}

// tryKinds makes what every section describes and lets go of it again, so that
// what only the kind knows to be wrong is told with file and line wherever the
// configuration is read. With skipSecrets files that a section names, as those of
// certificates, need not be here.
func (s *setup) tryKinds(skipSecrets bool) error {
	var errs []error
	found := func(section *config.Section, err error) {
		var file *fs.PathError
		if !skipSecrets || !errors.As(err, &file) {
			errs = append(errs, section.Error("", err))
		}
	}
	env := sourceEnv{oauth.NewPool(oauth.Options{}), true, slog.New(slog.DiscardHandler)}
	for _, m := range s.mailboxes {
		if skipSecrets && m.Section.Has("oauth2") {
			continue // which of its ways is meant depends on the secrets it has
		}
		_, err := m.open(env)
		found(m.Section, err)
	}
	sends := map[string][]string{}
	for _, k := range s.sinks {
		sink, err := k.sink(true)
		if err == nil {
			if m, ok := sink.(mailer); ok {
				sends[k.Name] = m.Recipients()
				errs = append(errs, s.complete(k, m))
			}
			err = sink.Close()
		}
		found(k.Section, err)
	}
	errs = append(errs, s.rings(sends)...)
	return config.Join(errs...)
}

// lookup is the variable's value in the environment the command was given.
func (c *cli) lookup(name string) (string, bool) {
	for i := len(c.env) - 1; i >= 0; i-- { // the last one holds, as in execve
		if key, value, _ := strings.Cut(c.env[i], "="); key == name {
			return value, true
		}
	}
	return "", false
}

// mailbox reads what the mailbox's protocol adds, and compiles its routes.
func (s *setup) mailbox(m *config.Mailbox) error {
	if _, err := config.ParseServer(m.Server); err != nil {
		return nil // said already
	}
	server, err := dial.Parse(m.Server, m.Insecure)
	if err != nil {
		return m.Section.Error("server", err)
	}
	protocol := strings.TrimSuffix(server.Scheme, "s")
	for _, kind := range mailboxKinds {
		if kind.name != protocol {
			continue
		}
		open, err := kind.read(m)
		routes, routeErr := conditions(m)
		s.mailboxes = append(s.mailboxes, mailboxSetup{m, kind, open, routes})
		return errors.Join(err, routeErr)
	}
	return m.Section.Errorf("server", "no mail is taken by %s: write imaps://, imap://, pop3s:// or pop3://", protocol)
}

// conditions compiles the routes.
func conditions(m *config.Mailbox) ([]sinks.Route, error) {
	var errs []error
	var routes []sinks.Route
	for _, r := range m.Deliver {
		route := sinks.Route{To: r.To, Stop: r.Stop}
		if r.When != "" {
			var err error
			route.When, err = sinks.CompileCondition(r.When)
			errs = append(errs, r.Error(err))
		}
		routes = append(routes, route)
	}
	return routes, errors.Join(errs...)
}

// sink reads what the sink's kind adds.
func (s *setup) sink(k *config.Sink) error {
	if k.Type == "" {
		return nil // said already
	}
	names := make([]string, 0, len(sinkKinds))
	for _, kind := range sinkKinds {
		names = append(names, kind.name)
		if kind.name != k.Type {
			continue
		}
		make, err := kind.read(k)
		if kind.keys == nil { // nobody knows what else may stand here
			return err
		}
		r, formatErr := s.renderer(k)
		s.sinks = append(s.sinks, sinkSetup{k, make, r, sinks.Env{Version: thisBuild().Version, Concurrency: k.Concurrency, Own: s.own()}})
		return errors.Join(err, formatErr, k.Section.Error("retry", schedule(k.Retry).Validate()))
	}
	return k.Section.OneOf("type", k.Type, names)
}

// asked looks at the sinks that the answers of a webhook may ask for a mail.
func (s *setup) asked(k *config.Sink) error {
	var own struct {
		Directives webhook.Directives `config:"directives,words"`
	}
	if k.Type != "webhook" || k.Section.Decode(&own) != nil {
		return nil // what is wrong with it is said already
	}
	var smtp []string
	for _, other := range s.Sinks {
		if other.Type == "smtp" {
			smtp = append(smtp, other.Name)
		}
	}
	var errs []error
	for verb, name := range own.Directives.Sinks() {
		if len(smtp) == 0 {
			errs = append(errs, k.Section.Errorf("directives."+verb, "no sink is of type smtp, and so none can send what an answer asks for: configure one and name it here"))
			continue
		}
		errs = append(errs, k.Section.OneOf("directives."+verb, name, smtp))
		s.asks[k.Name] = append(s.asks[k.Name], name)
	}
	return errors.Join(errs...)
}

// renderer reads what the sink's format adds.
func (s *setup) renderer(k *config.Sink) (payload.Renderer, error) {
	format, err := payload.Lookup(k.Format)
	if err != nil {
		return payload.Renderer{}, k.Section.OneOf("format", k.Format, payload.Formats())
	}
	if err := k.Section.Decode(format); err != nil {
		return payload.Renderer{}, err
	}
	r := payload.Renderer{Format: format, Options: payload.Options{Attachments: payload.Attachments(k.Attachments)}}
	if l := newLinker(s.Config); l != nil {
		r.Options.Link = l.link
	}
	if err := attachments(k, &r.Options); err != nil {
		return payload.Renderer{}, err
	}
	key := "attachments"
	if !k.Section.Has(key) && k.AttachmentsOnly != nil {
		key = "attachments_only"
	}
	return r, k.Section.Error(key, r.Validate())
}

// mailbox makes the fetcher's view of a mailbox.
func (m mailboxSetup) mailbox(e sourceEnv) (*fetcher.Mailbox, error) {
	e.log = e.log.With("mailbox", m.Name)
	a, err := m.open(e)
	if err != nil {
		return nil, configError(m.Section.Error("", err))
	}
	schedule, err := config.ParseSchedule(m.Schedule)
	if err != nil {
		return nil, configError(m.Section.Error("schedule", err))
	}
	return &fetcher.Mailbox{
		Name: m.Name, Protocol: m.kind.name, Account: m.account(), Source: a.source, Boxes: a.boxes,
		Backfill: fetcher.Backfill{All: m.Backfill.Mode == "all", Age: m.Backfill.Age}, Policy: m.policy(),
		SettleWait: m.SettleWait, Schedule: schedule, Idle: a.idle,
		Host: m.host(), SignIn: m.signIn(), Budget: m.budget(),
	}, nil
}

func (m mailboxSetup) host() string {
	server, _ := dial.Parse(m.Server, m.Insecure) // was read before
	return server.Address()
}

// signIn differs, most likely, when what the mailbox signs in with does. It is
// kept in the store, so it has too few values for anybody to find a secret by it.
func (m mailboxSetup) signIn() string {
	h := sha256.New()
	o := m.OAuth2
	for _, part := range []string{m.Server, m.Username, m.Password.Reveal(), m.Auth, m.TLS.ClientCert, o.Provider, o.Tenant, o.ClientID,
		o.ClientSecret.Reveal(), o.RefreshToken.Reveal(), o.TokenURL, strings.Join(o.Scopes, " "), strings.Join(o.Command, " ")} {
		fmt.Fprintf(h, "%d %s\n", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:2])
}

// budget is what is configured, and else known of the provider.
func (m mailboxSetup) budget() fetcher.Budget {
	server, _ := dial.Parse(m.Server, m.Insecure) // was read before
	b := fetcher.Preset(m.kind.name, server.Host)
	if m.Budget.Connections > 0 {
		b.Connections = m.Budget.Connections
	}
	if m.Budget.Octets > 0 {
		b.Octets = int64(m.Budget.Octets)
	}
	return b
}

// account is user@host, by which mails are known whatever the mailbox is called. One
// that signs in by certificate alone has its own name for the user's, lest two of
// them be taken for one account.
func (m mailboxSetup) account() string {
	server, _ := dial.Parse(m.Server, m.Insecure) // was read before
	return cmp.Or(m.Username, m.Name) + "@" + server.Host
}

func (m mailboxSetup) policy() spool.Policy {
	return spool.Policy{
		After: action(m.After.Action()), Delay: m.After.Delay, Taken: m.Settle == "taken", Failed: action(m.Failed),
	}
}

func action(a config.Action) spool.Action { return spool.Action{Verb: spool.Verb(a.Verb), Arg: a.Arg} }

// destination makes the sink and says how it is delivered to. An inert sink is
// for previews alone.
func (k sinkSetup) destination(inert bool) (sinks.Destination, error) {
	sink, err := k.sink(inert)
	if err != nil {
		return sinks.Destination{}, configError(k.Section.Error("", err))
	}
	d := sinks.Destination{
		Sink: sink, Concurrency: k.Concurrency, Retry: schedule(k.Retry), Exact: !k.Retry.Jitter, Interval: interval(k.Rate), Order: sinks.Order(k.Order),
	}
	d.Wants = k.wants()
	if l, ok := sink.(interface{ Longest() time.Duration }); ok {
		d.Timeout = l.Longest()
	}
	if inert {
		return d, nil
	}
	keep(k.Sink, k.renderer.Options, &d)
	return d, nil
}

func (k sinkSetup) sink(inert bool) (sinks.Sink, error) {
	k.env.Inert = inert
	return k.make(k.renderer, k.env)
}

// schedule is a retry block as the dispatcher counts: Steps[n] is the wait after
// n tries.
func schedule(r config.Retry) backoff.Schedule {
	s := backoff.Schedule{Steps: append([]time.Duration{0}, r.Delays...), Total: r.For}
	if r.Every > 0 && r.For > 0 {
		s.Steps = append(s.Steps, r.Every)
	}
	return s
}

func interval(r config.Rate) time.Duration {
	if r.Count == 0 {
		return 0
	}
	return r.Per / time.Duration(r.Count)
}

// tokenPool holds the access tokens of a process. Refresh tokens that rotate are
// kept beside the store.
func (s *setup) tokenPool(log *slog.Logger) *oauth.Pool {
	return oauth.NewPool(oauth.Options{File: s.Store.Path + ".tokens", Logger: log})
}

// say logs what is allowed but probably not meant.
func (s *setup) say(log *slog.Logger) {
	for _, w := range s.Warnings() {
		log.Warn(w)
	}
}
