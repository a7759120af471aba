package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postferry/postferry/internal/secret"
)

// Mailbox is what every mailbox has, whatever its protocol.
type Mailbox struct {
	Name        string
	Server      string        `config:"server,required" doc:"imaps:// or pop3s:// and a host; imap:// or pop3:// means STARTTLS, required; a port is optional"`
	Username    string        `config:"username" doc:"the name to sign in with; with tls.client_cert and no password it may be left out, and the mailbox's own name then tells whose the mails are"`
	Password    secret.Secret `config:"password" doc:"the password to sign in with"`
	OAuth2      OAuth2        `config:"oauth2" doc:"in place of a password: how access tokens are come by"`
	Auth        string        `config:"auth" enum:"plain,login,cram-md5,external,xoauth2,oauthbearer,apop,user" doc:"the one way to sign in; without it the best of those the server offers. apop and user (USER and PASS) are POP3's"`
	TLS         TLS           `config:"tls" doc:"how the server's certificate is checked"`
	Insecure    bool          `config:"insecure" doc:"true: imap:// and pop3:// in plain text, password included; said in the log each time"`
	Schedule    string        `config:"schedule" doc:"when to look for mail: @every 1m, or five cron fields, with CRON_TZ=Zone before them if wanted"`
	Backfill    Backfill      `config:"backfill" doc:"what the first run takes of the mail that is there: none, all, or what is younger than 7d; required unless after is keep"`
	After       After         `config:"after" doc:"what happens to a mail on the server once it is settled: keep, seen, delete, delete:30d (that much later), move:BOX or flag:FLAG"`
	Settle      string        `config:"settle" enum:"delivered,taken" doc:"delivered: a mail is settled once every sink has accepted it; taken: once it is safe in the store"`
	SettleWait  time.Duration `config:"settle_wait" doc:"how long a POP3 session is kept open for deliveries to end; 10s at most"`
	Failed      Action        `config:"failed" doc:"what happens on the server to a mail that became a dead letter: keep, flag:FLAG or move:BOX"`
	Deliver     []Route       `config:"deliver,required" doc:"the sinks its mail goes to: every entry whose condition holds"`
	Budget      Budget        `config:"budget" doc:"what the account may cost its server"`
	AuthservIDs []string      `config:"authserv_ids" doc:"the names under which the own mail server writes Authentication-Results; only those are believed (RFC 8601)"`

	// Section holds the keys of the kind, named by the scheme of Server.
	Section *Section
	pos     position
}

// maxSettleWait keeps a POP3 maildrop from being locked for long.
const maxSettleWait = 10 * time.Second

// SetDefaults sets what holds when the file says nothing.
func (m *Mailbox) SetDefaults() {
	m.Schedule, m.Settle, m.SettleWait = "@every 1m", "delivered", maxSettleWait
	m.After, m.Failed, m.Backfill = After{Verb: "keep"}, Action{Verb: "keep"}, Backfill{Mode: "none"}
}

// Validate checks what the single values cannot tell.
func (m *Mailbox) Validate() error {
	var errs []error
	check := func(key string, err error) { errs = append(errs, At(key, err)) }
	_, err := ParseServer(m.Server)
	check("server", err)
	_, err = ParseSchedule(m.Schedule)
	check("schedule", err)
	check("backfill", m.checkBackfill())
	if m.SettleWait > maxSettleWait {
		check("settle_wait", fmt.Errorf("%s is longer than 10s, and a POP3 maildrop is locked meanwhile", FormatDuration(m.SettleWait)))
	}
	if m.Failed.Verb == "seen" || m.Failed.Verb == "delete" {
		check("failed", fmt.Errorf("%s would lose sight of a mail that was not delivered; write keep, flag:FLAG or move:BOX", m.Failed.Verb))
	}
	if m.Budget.Connections < 0 {
		check("budget", errors.New("connections must not be negative"))
	}
	errs = append(errs, checkRoutes(m.Deliver))
	errs = append(errs, m.checkSignIn()...)
	return errors.Join(errs...)
}

func (m *Mailbox) checkBackfill() error {
	if m.After.Verb == "keep" || m.Section == nil || m.Section.Has("backfill") {
		return nil
	}
	return fmt.Errorf("the key is required, since after is %s: say what the first run may take and then %s, of the mail that is there now: none, all, or what is younger than 7d",
		m.After, m.After.Verb)
}

// checkSignIn wants one way to sign in. A client certificate is one (SASL
// EXTERNAL).
func (m *Mailbox) checkSignIn() []error {
	var errs []error
	password := ""
	for _, key := range []string{"password", "password_file", "password_command"} {
		if m.Section.Has(key) {
			password = key
		}
	}
	oauth2 := m.Section.Has("oauth2")
	switch {
	case password != "" && oauth2:
		errs = append(errs, At("oauth2", fmt.Errorf("%s is given too; keep one of them", password)))
	case password == "" && !oauth2 && m.TLS.ClientCert == "":
		errs = append(errs, At("password", errors.New("the key is required: password, password_file, password_command or oauth2")))
	}
	errs = append(errs, At("auth", m.checkAuth(oauth2, password != "")))
	if m.Username == "" && m.TLS.ClientCert == "" {
		errs = append(errs, At("username", errors.New("the key is required: the name to sign in with")))
	}
	// Both protocols end a command at CRLF, and neither can carry a zero octet.
	if strings.ContainsAny(m.Password.Reveal(), "\r\n\x00") {
		errs = append(errs, At(password, errors.New("the password has a line break or a zero octet in it; it must be one line")))
	}
	if strings.ContainsAny(m.Username, "\r\n\x00") {
		errs = append(errs, At("username", errors.New("the name has a line break or a zero octet in it")))
	}
	return errs
}

// checkAuth wants the credentials that the wanted way to sign in needs.
func (m *Mailbox) checkAuth(oauth2, password bool) error {
	imap := strings.HasPrefix(strings.ToLower(m.Server), "imap")
	switch m.Auth {
	case "":
		return nil
	case "xoauth2", "oauthbearer":
		if !oauth2 {
			return fmt.Errorf("%s needs oauth2", m.Auth)
		}
		return nil
	case "external":
		if m.TLS.ClientCert == "" {
			return errors.New("external needs a certificate: tls.client_cert and tls.client_key")
		}
		return nil
	case "apop", "user":
		if imap {
			return fmt.Errorf("%s is POP3's; IMAP has plain, login and cram-md5", m.Auth)
		}
	}
	if !password {
		return fmt.Errorf("%s needs a password", m.Auth)
	}
	return nil
}

func (m *Mailbox) decode() error {
	if err := checkName(m.Name); err != nil {
		return m.Section.error(m.pos, "", err)
	}
	d := &decoder{env: m.Section.env}
	if !d.want(m.Section.node, m.Section.path, mapping) {
		return d.errs
	}
	err := m.Section.Decode(m)
	m.placeRoutes()
	return err
}

// placeRoutes tells each route where it stands, for errors found later.
func (m *Mailbox) placeRoutes() {
	e := m.Section.node.find("deliver")
	for i := range m.Deliver {
		m.Deliver[i].node = e.value.items[i]
		m.Deliver[i].path = fmt.Sprintf("%s[%d]", e.path(m.Section.path), i)
	}
}
