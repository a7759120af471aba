package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks/payload"
)

// Options are the keys of a sink of type webhook, beside those every sink has.
type Options struct {
	URL      string                   `config:"url,required" doc:"Where to post, https://. A user and password in it are sent as basic authentication. It may have holes, https://app.example.com/{{ slug(mailbox.name, 40) }} (docs/webhook.md)."`
	Insecure bool                     `config:"insecure" doc:"true: post in clear text to an http:// url on another machine. To this machine itself it is always allowed."`
	Secret   secret.Secret            `config:"secret" doc:"Signs every request (Standard Webhooks): whsec_ and the base64 of 24 to 64 random octets. Make one with: echo whsec_$(openssl rand -base64 32)"`
	Secrets  []secret.Secret          `config:"secrets" doc:"Several secrets while one replaces another: each request carries a signature by every one of them."`
	Method   string                   `config:"method" enum:"POST,PUT,PATCH" doc:"How it is sent."`
	Headers  map[string]secret.Secret `config:"headers" doc:"Further header fields, which may have holes; their values are kept out of logs."`
	Timeout  time.Duration            `config:"timeout" doc:"From connecting to the end of the answer; a body gets one second more for each MiB."`
	Basic    Basic                    `config:"basic" doc:"Basic authentication (RFC 7617)."`
	Bearer   secret.Secret            `config:"bearer" doc:"Bearer token (RFC 6750)."`
	TLS      config.TLS               `config:"tls" doc:"Whom to trust, and the client's certificate."`
	Proxy    string                   `config:"proxy" doc:"URL of an HTTP, HTTPS or SOCKS5 proxy, or env for HTTP_PROXY, HTTPS_PROXY and NO_PROXY. None unless set."`
	Compress string                   `config:"compress" enum:"none,gzip" doc:"gzip: the body is sent with Content-Encoding: gzip. The signature is of the octets as sent."`

	Directives Directives `config:"directives,words" doc:"What the JSON of an answer may ask for; a list of words, [move, flag, retry_after], or a block: {move: true, reply: desk}. Nothing unless set (docs/webhook.md)."`

	AllowNetworks []string `config:"allow_networks" doc:"Networks that a url with holes may lead to although they are not on the public Internet: 10.1.2.0/24, 127.0.0.1."`

	SuccessWhen string `config:"success_when,raw" doc:"An expression that tells which answers are a yes, instead of 2xx: body.ok == true. It knows status, headers, header(name), text, and body, which is the answer's JSON (see docs/webhook.md)."`
	FailWhen    string `config:"fail_when,raw" doc:"An expression that tells which answers are a no even if they are 2xx: body.error != nil."`
}

// Basic is a user and password for basic authentication.
type Basic struct {
	Username string        `config:"username" doc:"User name, without a colon."`
	Password secret.Secret `config:"password" doc:"Password."`
}

// SetDefaults sets what holds when the file says nothing.
func (o *Options) SetDefaults() { o.Method, o.Timeout = http.MethodPost, DefaultTimeout }

// Validate compiles what is written in the language of expressions, so that a
// mistake in it is found when the configuration is loaded.
func (o *Options) Validate() error {
	for key, source := range map[string]string{"success_when": o.SuccessWhen, "fail_when": o.FailWhen} {
		if _, err := responses.Compile(source); source != "" && err != nil {
			return config.At(key, err)
		}
	}
	for name, value := range o.Headers {
		if text := value.Reveal(); strings.Contains(text, "{{") {
			if _, err := payload.CompileText(text); err != nil {
				return config.At("headers", fmt.Errorf("%s: %w", name, err))
			}
		}
	}
	if !strings.Contains(o.URL, "{{") {
		return nil
	}
	guarded, err := newGuard(o.AllowNetworks)
	if err != nil {
		return config.At("allow_networks", err)
	}
	looked := *o // reading takes the user out
	to, err := looked.target()
	if err == nil {
		err = to.suits(&looked, guarded)
	}
	return config.At("url", err)
}

// DefaultTimeout bounds one request.
const DefaultTimeout = 15 * time.Second

// own are the header fields postferry sets itself.
var own = map[string]bool{
	"Webhook-Id": true, "Webhook-Timestamp": true, "Webhook-Signature": true,
	"Content-Length": true, "Content-Encoding": true, "Transfer-Encoding": true, "Host": true, "Connection": true, "Trailer": true,
}

// fixedHeader is what every request of the sink carries.
func (o *Options) fixedHeader(version string) (http.Header, map[string]*payload.Text, error) {
	h, made := http.Header{"User-Agent": {"postferry/" + version}}, map[string]*payload.Text{}
	names := map[string]string{}
	for name, value := range o.Headers {
		key := http.CanonicalHeaderKey(name)
		if other, twice := names[key]; twice {
			return nil, nil, config.At("headers", fmt.Errorf("%s and %s are one header field: keep one of them", min(name, other), max(name, other)))
		}
		names[key] = name
		if !httpguts.ValidHeaderFieldName(name) || own[key] {
			return nil, nil, config.At("headers", fmt.Errorf("%q is not a header field that may be set", name))
		}
		if strings.Contains(value.Reveal(), "{{") {
			text, err := payload.CompileText(value.Reveal())
			if err != nil {
				return nil, nil, config.At("headers", fmt.Errorf("%s: %w", name, err))
			}
			made[key] = text
			continue
		}
		if !httpguts.ValidHeaderFieldValue(value.Reveal()) {
			return nil, nil, config.At("headers", fmt.Errorf("the value of %s has characters that a header field may not have", name))
		}
		h[key] = []string{value.Reveal()}
	}
	if (o.Basic.Username != "" || !o.Basic.Password.IsZero()) && !o.Bearer.IsZero() {
		return nil, nil, fmt.Errorf("basic and bearer exclude each other: keep one of them")
	}
	if strings.Contains(o.Basic.Username, ":") { // RFC 7617, section 2
		return nil, nil, config.At("basic", errors.New("the username must not contain a colon"))
	}
	if auth := o.authorization(); auth != "" {
		if names["Authorization"] != "" {
			return nil, nil, fmt.Errorf("headers sets Authorization beside basic or bearer: keep one of them")
		}
		if !httpguts.ValidHeaderFieldValue(auth) {
			return nil, nil, config.At("bearer", errors.New("bearer has characters that a header field may not have"))
		}
		h["Authorization"] = []string{auth}
	}
	if _, ok := h["Idempotency-Key"]; !ok {
		// An empty list: the field is not sent, but a request that met a connection
		// the receiver was just closing is sent again at once. Its id is the same.
		h["Idempotency-Key"] = []string{}
	}
	return h, made, nil
}

func (o *Options) authorization() string {
	if !o.Bearer.IsZero() {
		return "Bearer " + o.Bearer.Reveal()
	}
	if o.Basic.Username == "" && o.Basic.Password.IsZero() {
		return ""
	}
	var r http.Request
	r.Header = http.Header{}
	r.SetBasicAuth(o.Basic.Username, o.Basic.Password.Reveal())
	return r.Header.Get("Authorization")
}

func (o *Options) compression() (bool, error) {
	switch o.Compress {
	case "", "none":
		return false, nil
	case "gzip":
		return true, nil
	}
	return false, fmt.Errorf("compress %q is not none or gzip", o.Compress)
}

func (o *Options) method() (string, error) {
	switch m := strings.ToUpper(o.Method); m {
	case "":
		return http.MethodPost, nil
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return m, nil
	}
	return "", fmt.Errorf("method %q is not POST, PUT or PATCH", o.Method)
}
