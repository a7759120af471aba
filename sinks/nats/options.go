package nats

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
)

// Options are the keys of a sink of type nats, beside those every sink has.
type Options struct {
	URL      secret.Secret `config:"url,required" doc:"The server: nats://host:4222, or tls://host:4222 where nothing is said in clear text. Of a cluster several, with commas between. A user and password in it sign in, and a user alone is a token."`
	Insecure bool          `config:"insecure" doc:"true: talk in clear text to a nats:// url on another machine. To this machine itself it is always allowed."`
	Subject  string        `config:"subject,raw,required" doc:"What to publish to; a stream has to take it. It may have holes, mail.{{ mailbox.name }} (docs/templates.md)."`
	Stream   string        `config:"stream" doc:"The stream that is to take it; where another one does, nothing is delivered. Whichever takes the subject unless set."`
	Username string        `config:"username" doc:"User name."`
	Password secret.Secret `config:"password" doc:"Password."`
	Token    secret.Secret `config:"token" doc:"A token, in place of user name and password."`
	NKey     secret.Secret `config:"nkey" doc:"The seed of a user's nkey, SU…"`
	Creds    secret.Secret `config:"creds" doc:"Credentials with a user's JWT and nkey; creds_file names the file that nsc makes."`
	TLS      config.TLS    `config:"tls" doc:"Whom to trust, and the client's certificate."`
	queue.Options
}

// Validate refuses options that cannot be meant.
func (o *Options) Validate() error {
	if _, err := o.target(); err != nil {
		return err
	}
	if strings.ContainsAny(o.Stream, " .*>/\\\t\r\n") {
		return config.At("stream", fmt.Errorf("%q is not the name of a stream", dial.Printable(o.Stream)))
	}
	text, err := payload.CompileText(o.Subject)
	if err == nil {
		err = checkSubject(text.With(func(int) string { return "x" }))
	}
	if err != nil {
		return config.At("subject", err)
	}
	for name := range o.Headers {
		if strings.HasPrefix(strings.ToLower(name), "nats-") {
			return config.At("headers", fmt.Errorf("%s: what begins with Nats- tells the server what to do", name))
		}
	}
	return nil
}

// target is where the servers are, and how to sign in.
type target struct {
	servers []string // scheme://host:port, without user
	hosts   string   // of those, for messages
	secure  bool     // TLS or nothing
	signIn  []nats.Option
	user    string // who signs in, as far as it is no secret
	secrets []string
}

func (o *Options) target() (*target, error) {
	t := &target{}
	var user *url.Userinfo
	for _, text := range strings.Split(o.URL.Reveal(), ",") {
		u, err := parseURL(strings.TrimSpace(text))
		if err != nil {
			return nil, config.At("url", err)
		}
		if u.User != nil {
			user = u.User
		}
		if u.Scheme == "nats" && !o.Insecure && !dial.IsLoopback(u.Hostname()) {
			return nil, config.At("url", errors.New("nats:// to another machine may send mail in clear text: write tls://, or set insecure: true"))
		}
		if len(t.servers) > 0 && (u.Scheme == "tls") != t.secure {
			return nil, config.At("url", errors.New("nats:// and tls:// do not go together: write all servers with one of them"))
		}
		t.secure = u.Scheme == "tls"
		t.servers = append(t.servers, u.Scheme+"://"+u.Host)
	}
	t.hosts = strings.Join(t.servers, ",")
	return t, t.credentials(o, user)
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "nats" && u.Scheme != "tls" {
		return nil, errors.New("url must be nats://host:4222 or tls://host:4222")
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("url must end after the host and port")
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "4222")
	}
	return u, nil
}

// credentials reads the one way there is to sign in.
func (t *target) credentials(o *Options, user *url.Userinfo) error {
	var ways []string
	way := func(name string, option nats.Option, secrets ...string) {
		ways, t.signIn, t.secrets = append(ways, name), append(t.signIn, option), append(t.secrets, secrets...)
	}
	if user != nil {
		if password, has := user.Password(); has {
			t.user = user.Username()
			way("the url's user", nats.UserInfo(user.Username(), password), password, url.QueryEscape(password))
		} else {
			way("the url's token", nats.Token(user.Username()), user.Username())
		}
	}
	if o.Username != "" || !o.Password.IsZero() {
		t.user = o.Username
		way("username", nats.UserInfo(o.Username, o.Password.Reveal()), o.Password.Reveal())
	}
	if !o.Token.IsZero() {
		way("token", nats.Token(o.Token.Reveal()), o.Token.Reveal())
	}
	if !o.NKey.IsZero() {
		seed := strings.TrimSpace(o.NKey.Reveal())
		pair, err := nkeys.FromSeed([]byte(seed))
		if err != nil {
			return config.At("nkey", errors.New("it is not the seed of an nkey (SU…)"))
		}
		public, err := pair.PublicKey()
		if err != nil {
			return config.At("nkey", errors.New("it is not the seed of an nkey (SU…)"))
		}
		t.user = public
		way("nkey", nats.Nkey(public, pair.Sign), seed)
	}
	if !o.Creds.IsZero() {
		text := []byte(o.Creds.Reveal())
		pair, err := nkeys.ParseDecoratedNKey(text)
		if err != nil {
			return config.At("creds", errors.New("they hold no user's nkey; name the file that nsc makes in creds_file"))
		}
		jwt, err := nkeys.ParseDecoratedJWT(text)
		if err != nil {
			return config.At("creds", errors.New("they hold no JWT; name the file that nsc makes in creds_file"))
		}
		seed, _ := pair.Seed() // it was parsed from one
		way("creds", nats.UserCredentialBytes(text), string(seed), jwt)
	}
	if len(ways) > 1 {
		return config.At("url", fmt.Errorf("%s exclude each other: keep one of them", strings.Join(ways, " and ")))
	}
	return nil
}

// tls is the configuration for all servers: the library fills in whom it talks to.
func (o *Options) tls() (*tls.Config, error) {
	c, err := dial.TLS(o.TLS).Config("")
	if err != nil {
		return nil, err
	}
	c.ServerName = o.TLS.ServerName
	return c, nil
}
