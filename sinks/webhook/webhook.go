// Package webhook delivers mail by HTTP, signed as Standard Webhooks 1.0 lays
// down.
//
// One delivery is one request: the body the sink's format makes, webhook-id (the
// delivery's id, the same on every attempt), webhook-timestamp (of the attempt)
// and, with a secret, webhook-signature. The answer's status decides:
//
//	2xx                                    delivered
//	400 406 413 415 422                    the mail's fault: three tries, then a dead letter
//	401 402 403 404 405 407 421, TLS, DNS  the sink's fault: held, one probe follows the schedule
//	410                                    the sink is held and looked at once a day; a URL made of the mail, that URL alone
//	everything else, and the network       tried again as the schedule says
//
// A format whose vendor lets a status end a delivery (payload.Stopper) decides
// first: such an answer makes a dead letter at once.
//
// Where any part of the URL is made of the mail, nothing is connected to but the
// public Internet and allow_networks (guard.go), and no such URL holds the sink.
//
// A redirect is not followed: it could carry mail to a place nobody configured.
// success_when and fail_when of the sink may see it otherwise. Retry-After, and
// retry_after in an answer's JSON, are heeded between a second and a day. Of the other 4xx (409, 411,
// 414, 417, 423, 424, 428, 431, 451 …) none says whose fault it is, so they are
// temporary, like every status without a rule of its own.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

// longestField is how much of a mail goes into one hole of a header field, in
// octets.
const longestField = 2 << 10

// fieldValue is a text of a mail as a header field may have it (RFC 9110, section
// 5.5): what controls becomes a space.
func fieldValue(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), longestField)], "\uFFFD")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// Sink posts to one URL, or one made of each mail. It implements sinks.Sink, Previewer and Checker.
type Sink struct {
	name    string
	method  string
	target  *target
	held    *holds
	host    string // how messages name the destination: never the path, which may be a secret
	header  http.Header
	made    map[string]*payload.Text // header fields with holes
	timeout time.Duration
	signer  signer
	render  payload.Renderer
	redact  redactor
	gzip    bool

	successWhen, failWhen *condition
	directives            Directives
	looks                 bool // at the answer's body

	transport *http.Transport
	clock     clock.Clock
}

// New makes the sink of that name. Its errors say which option to change; they
// hold no secret.
func New(name string, o Options, r payload.Renderer, e sinks.Env) (*Sink, error) {
	e = e.WithDefaults()
	if r.Clock == nil {
		r.Clock = e.Clock
	}
	s := &Sink{name: name, timeout: o.Timeout, render: r, clock: e.Clock}
	if s.timeout == 0 {
		s.timeout = DefaultTimeout
	}
	if s.timeout < 0 {
		return nil, config.At("timeout", fmt.Errorf("timeout %s is negative", o.Timeout))
	}
	var err error
	if s.target, err = o.target(); err != nil {
		return nil, config.At("url", err)
	}
	s.held, s.host = newHolds(e.Clock), s.target.url.Host
	if s.target.hostMade {
		s.host = "the url's host"
	}
	guarded, err := newGuard(o.AllowNetworks)
	if err != nil {
		return nil, config.At("allow_networks", err)
	}
	if err := s.target.suits(&o, guarded); err != nil {
		return nil, config.At("url", err)
	}
	if !s.target.made {
		guarded = nil
	}
	if s.target.url.Scheme == "http" && o.TLS.Names() && !strings.HasPrefix(o.Proxy, "https://") && o.Proxy != "env" {
		return nil, config.At("tls", errors.New("it has no effect with a url of http://: use https://, or take it out"))
	}
	if s.method, err = o.method(); err != nil {
		return nil, config.At("method", err)
	}
	if s.header, s.made, err = o.fixedHeader(e.Version); err != nil {
		return nil, err
	}
	one, err := newSigner([]secret.Secret{o.Secret})
	if err != nil {
		return nil, config.At("secret", err)
	}
	if slices.ContainsFunc(o.Secrets, secret.Secret.IsZero) {
		return nil, config.At("secrets", errors.New("one of them is empty"))
	}
	others, err := newSigner(o.Secrets)
	if err != nil {
		return nil, config.At("secrets", err)
	}
	s.signer.keys = append(one.keys, others.keys...)
	if s.transport, err = o.transport(s.target.url.Hostname(), guarded, e.Concurrency); err != nil {
		return nil, err
	}
	if s.successWhen, err = newCondition("success_when", o.SuccessWhen); err != nil {
		return nil, config.At("success_when", err)
	}
	if s.failWhen, err = newCondition("fail_when", o.FailWhen); err != nil {
		return nil, config.At("fail_when", err)
	}
	s.directives = o.Directives
	s.looks = s.successWhen != nil || s.failWhen != nil || s.directives.any()
	if s.gzip, err = o.compression(); err != nil {
		return nil, config.At("compress", err)
	}
	s.redact = o.redactor(s.target.url, s.header)
	return s, nil
}

// transport is this sink's own: connections are not shared with others, so one
// sink's trouble is not another's.
func (o *Options) transport(host string, guarded *guard, concurrency int) (*http.Transport, error) {
	tls, err := dial.TLS(o.TLS).Config(host)
	if err != nil {
		return nil, config.At("tls", err)
	}
	// net/http fills in whom it talks to, the receiver or an HTTPS proxy.
	tls.ServerName = o.TLS.ServerName
	t := &http.Transport{
		DialContext:            dialer(guarded).DialContext,
		TLSClientConfig:        tls,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true, // where TLS negotiates it
		MaxIdleConns:           concurrency,
		MaxIdleConnsPerHost:    concurrency,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,     // the answer is for the record, not for us
		WriteBufferSize:        32 << 10, // most mails leave in one write
	}
	switch o.Proxy {
	case "":
	case "env":
		t.Proxy = http.ProxyFromEnvironment
	default:
		proxy, err := url.Parse(o.Proxy)
		if err != nil || proxy.Host == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme) {
			return nil, config.At("proxy", errors.New("proxy must be env or a URL of http, https or socks5, as in http://proxy.example.com:3128"))
		}
		t.Proxy = http.ProxyURL(proxy)
	}
	return t, nil
}

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	to, err := s.target.of(d)
	if err != nil {
		return sinks.Receipt{}, sinks.Permanent(fmt.Errorf("making the url of this mail: %w", err))
	}
	if s.target.made {
		if left := s.held.left(to); left > 0 {
			return sinks.Receipt{}, sinks.RetryAfter(left, fmt.Errorf("%s answered 410 Gone at this url before: it is left alone for a day", to.Host))
		}
	}
	body, err := s.render.Render(d)
	if err != nil {
		return sinks.Receipt{}, err
	}
	defer body.Release()
	limited, cancel := context.WithTimeout(ctx, s.timeout+time.Duration(body.Size()>>20)*time.Second)
	defer cancel()
	header, sent, err := s.request(d, body)
	if err != nil {
		return sinks.Receipt{}, err
	}
	req := (&http.Request{
		Method: s.method, URL: to, Host: to.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: sent.Open(), ContentLength: sent.Size(),
		GetBody: func() (io.ReadCloser, error) { return sent.Open(), nil },
	}).WithContext(limited)
	// The transport, not a Client: no redirects, no cookies.
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		return sinks.Receipt{}, s.failed(ctx, to.Host, err)
	}
	defer resp.Body.Close()
	return s.judge(d, to, s.readAnswer(resp))
}

// request is the header of one attempt, and what it carries: that is what is
// signed, so that a receiver needs to decompress only what is known to be ours.
func (s *Sink) request(d *sinks.Delivery, body *payload.Body) (http.Header, content, error) {
	sent := content(body)
	if s.gzip {
		c, err := compress(body)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the mail from the store: %w", err)
		}
		sent = c
	}
	timestamp, signature, err := s.signer.sign(d.ID, s.clock.Now(), sent)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the mail from the store: %w", err)
	}
	h := make(http.Header, len(s.header)+len(body.Header)+4)
	h["Content-Type"] = []string{body.ContentType}
	if s.gzip {
		h["Content-Encoding"] = []string{"gzip"}
	}
	for name, values := range body.Header {
		h[name] = values
	}
	for name, values := range s.header {
		h[name] = values
	}
	for name, text := range s.made {
		value, err := text.Fill(d, fieldValue)
		if err != nil {
			return nil, nil, sinks.Permanent(fmt.Errorf("making header field %s of this mail: %w", name, err))
		}
		h[name] = []string{value}
	}
	h[headerID] = []string{d.ID}
	h[headerTimestamp] = []string{timestamp}
	if signature != "" {
		h[headerSignature] = []string{signature}
	}
	return h, sent, nil
}

// Format implements fmt.Formatter: under every verb a Sink is its name and host,
// so that printing one shows no secret.
func (s *Sink) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "webhook %s to %s", s.name, s.host)
}

// Close implements sinks.Sink.
func (s *Sink) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

var (
	_ sinks.Sink      = (*Sink)(nil)
	_ sinks.Previewer = (*Sink)(nil)
	_ sinks.Checker   = (*Sink)(nil)
)
