package smtp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/oauth"
	"github.com/postferry/postferry/internal/sasl"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/smtp/compose"
	"github.com/postferry/postferry/sinks/smtp/submit"
)

// Options are the keys of a sink of type smtp, beside those every sink has.
type Options struct {
	compose.Options
	Server   string        `config:"server,required" doc:"The server mail is given to: smtp:// (port 587, STARTTLS required) or smtps:// (465); another port may follow the host, as 25 of a relay."`
	Username string        `config:"username" doc:"The name to sign in with. Without it there is no sign-in, as with a relay."`
	Password secret.Secret `config:"password" doc:"The password to sign in with; many providers want an app password."`
	OAuth2   config.OAuth2 `config:"oauth2" doc:"In place of a password: how access tokens are come by."`
	Auth     string        `config:"auth" enum:"plain,login,cram-md5,external,xoauth2,oauthbearer" doc:"The one way to sign in; without it the best of those the server offers."`
	TLS      config.TLS    `config:"tls" doc:"How the server's certificate is checked."`
	Insecure bool          `config:"insecure" doc:"true: smtp:// in plain text, password included; said in the log each time. For a relay on this machine or in its own network."`
	Hello    string        `config:"hello" doc:"The name this machine gives in EHLO. Without it its own full name, or its address where it has none; relays check it."`
}

// Validate refuses options that contradict one another.
func (o *Options) Validate() error {
	if err := o.Options.Validate(); err != nil {
		return err
	}
	if _, err := o.server(); err != nil {
		return config.At("server", err)
	}
	signsIn, tokens := !o.Password.IsZero() || o.hasOAuth2(), o.hasOAuth2()
	at := func(key, text string) error { return config.At(key, errors.New(text)) }
	switch {
	case !o.Password.IsZero() && tokens:
		return at("oauth2", "password is given too; keep one of them")
	case signsIn && o.Username == "":
		return at("username", "the key is required: the name to sign in with")
	case strings.ContainsAny(o.Password.Reveal(), "\r\n\x00"):
		return at("password", "the password has a line break or a zero octet in it; it must be one line")
	case (o.Auth == "xoauth2" || o.Auth == "oauthbearer") && !tokens:
		return at("auth", o.Auth+" needs oauth2")
	case o.Auth == "external" && o.TLS.ClientCert == "":
		return at("auth", "external needs a certificate: tls.client_cert and tls.client_key")
	}
	return nil
}

func (o *Options) server() (dial.Server, error) {
	server, err := dial.Parse(o.Server, o.Insecure)
	if err == nil && !strings.HasPrefix(server.Scheme, "smtp") {
		err = fmt.Errorf("mail is not given by %s: write smtp:// or smtps://", server.Scheme)
	}
	return server, err
}

func (o *Options) hasOAuth2() bool {
	c := o.OAuth2
	return c.Provider != "" || c.ClientID != "" || c.TokenURL != "" || len(c.Command) > 0 || !c.RefreshToken.IsZero()
}

// client makes the sink's client. It connects to nothing.
func (o *Options) client(e sinks.Env) (*submit.Client, error) {
	server, err := o.server()
	if err != nil {
		return nil, config.At("server", err)
	}
	if !e.Inert && o.Username != "" && o.Password.IsZero() && !o.hasOAuth2() && o.TLS.ClientCert == "" { // an inert one may have been read without its secrets
		return nil, config.At("password", errors.New("the key is required with username: password, password_file, password_command or oauth2"))
	}
	if _, err := dial.TLS(o.TLS).Config(server.Host); err != nil {
		return nil, config.At("tls", err)
	}
	s := submit.Options{
		Server: server, TLS: dial.TLS(o.TLS), Username: o.Username, Password: o.Password, Auth: o.Auth,
		Hello: o.Hello, Connections: e.Concurrency, Logger: e.Logger,
	}
	if o.hasOAuth2() {
		if s.Tokens, err = o.tokens(e.Tokens); err != nil {
			return nil, config.At("oauth2", err)
		}
	}
	c, err := submit.New(s)
	if err != nil {
		return nil, config.At("hello", err)
	}
	return c, nil
}

func (o *Options) tokens(p *oauth.Pool) (sasl.TokenSource, error) {
	if p == nil {
		p = oauth.NewPool(oauth.Options{})
	}
	s, err := p.Source(oauth.Config(o.OAuth2))
	if err != nil {
		return nil, err
	}
	return s, nil
}
