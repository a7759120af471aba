package webhook

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/secret"
)

// Options are the keys of a sink of type webhook, beside those every sink has.
type Options struct {
	URL      string                   `config:"url,required" doc:"Where to post, https://. A user and password in it are sent as basic authentication."`
	Insecure bool                     `config:"insecure" doc:"true: post in clear text to an http:// url on another machine. To this machine itself it is always allowed."`
	Secret   secret.Secret            `config:"secret" doc:"Signs every request (Standard Webhooks): whsec_ and the base64 of 24 to 64 random octets. Make one with: echo whsec_$(openssl rand -base64 32)"`
	Secrets  []secret.Secret          `config:"secrets" doc:"Several secrets while one replaces another: each request carries a signature by every one of them."`
	Method   string                   `config:"method" enum:"POST,PUT,PATCH" doc:"How it is sent."`
	Headers  map[string]secret.Secret `config:"headers" doc:"Further header fields; their values are kept out of logs."`
	Timeout  time.Duration            `config:"timeout" doc:"From connecting to the end of the answer; a body gets one second more for each MiB."`
	Basic    Basic                    `config:"basic" doc:"Basic authentication (RFC 7617)."`
	Bearer   secret.Secret            `config:"bearer" doc:"Bearer token (RFC 6750)."`
	TLS      config.TLS               `config:"tls" doc:"Whom to trust, and the client's certificate."`
	Proxy    string                   `config:"proxy" doc:"URL of an HTTP, HTTPS or SOCKS5 proxy, or env for HTTP_PROXY, HTTPS_PROXY and NO_PROXY. None unless set."`
	Compress string                   `config:"compress" enum:"none,gzip" doc:"gzip: the body is sent with Content-Encoding: gzip. The signature is of the octets as sent."`

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

// DefaultTimeout bounds one request.
const DefaultTimeout = 15 * time.Second

// own are the header fields postferry sets itself.
var own = map[string]bool{
	"Webhook-Id": true, "Webhook-Timestamp": true, "Webhook-Signature": true,
	"Content-Length": true, "Content-Encoding": true, "Transfer-Encoding": true, "Host": true, "Connection": true, "Trailer": true,
}

// target reads the URL and takes the user and password out of it.
func (o *Options) target() (*url.URL, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("url cannot be read; write it as https://host/path") // the parser's error would repeat it
	}
	if o.URL == "" || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return nil, fmt.Errorf("url must be https://host/path or http://host/path")
	}
	if u.Scheme == "http" && !o.Insecure && !isLoopback(u.Hostname()) {
		return nil, fmt.Errorf("url is http:// to another machine, so mail and secrets would go in clear text: use https://, or set insecure: true")
	}
	if u.User != nil {
		if o.Basic.Username != "" {
			return nil, fmt.Errorf("url has a user and basic is set: keep one of them")
		}
		password, _ := u.User.Password()
		o.Basic = Basic{u.User.Username(), secret.New(password)}
		u.User = nil
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// isLoopback tells the names and addresses of this machine (RFC 6761, section
// 6.3).
func isLoopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// fixedHeader is what every request of the sink carries.
func (o *Options) fixedHeader(version string) (http.Header, error) {
	h := http.Header{"User-Agent": {"postferry/" + version}}
	for name, value := range o.Headers {
		key := http.CanonicalHeaderKey(name)
		if !httpguts.ValidHeaderFieldName(name) || own[key] {
			return nil, fmt.Errorf("headers: %q is not a header field that may be set", name)
		}
		if !httpguts.ValidHeaderFieldValue(value.Reveal()) {
			return nil, fmt.Errorf("headers: the value of %s has characters that a header field may not have", name)
		}
		h[key] = []string{value.Reveal()}
	}
	if o.Basic.Username != "" && !o.Bearer.IsZero() {
		return nil, fmt.Errorf("basic and bearer exclude each other: keep one of them")
	}
	if strings.Contains(o.Basic.Username, ":") { // RFC 7617, section 2
		return nil, fmt.Errorf("basic: the username must not contain a colon")
	}
	if auth := o.authorization(); auth != "" {
		if h.Get("Authorization") != "" {
			return nil, fmt.Errorf("headers sets Authorization beside basic or bearer: keep one of them")
		}
		if !httpguts.ValidHeaderFieldValue(auth) {
			return nil, fmt.Errorf("bearer has characters that a header field may not have")
		}
		h["Authorization"] = []string{auth}
	}
	if _, ok := h["Idempotency-Key"]; !ok {
		// An empty list: the field is not sent, but a request that met a connection
		// the receiver was just closing is sent again at once. Its id is the same.
		h["Idempotency-Key"] = []string{}
	}
	return h, nil
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
