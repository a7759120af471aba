package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
)

// checkTimeout bounds each step of a check.
const checkTimeout = 10 * time.Second

// Preview implements sinks.Previewer: the request an attempt would send now.
// What the configuration adds to the header is masked, as are the url's query and
// what may be a secret in its path.
func (s *Sink) Preview(d *sinks.Delivery) (sinks.Request, error) {
	to, err := s.target.of(d)
	if err != nil {
		return sinks.Request{}, fmt.Errorf("making the url of this mail: %w", err)
	}
	body, err := s.render.Render(d)
	if err != nil {
		return sinks.Request{}, err
	}
	defer body.Release()
	header, _, err := s.request(d, body)
	if err != nil {
		return sinks.Request{}, err
	}
	for name := range s.header {
		if name != "User-Agent" && len(header[name]) > 0 {
			header[name] = []string{secret.Masked}
		}
	}
	for name, text := range s.made {
		for _, part := range literals(text) {
			if len(part) >= shortest {
				header[name] = []string{strings.ReplaceAll(header[name][0], part, secret.Masked)}
			}
		}
	}
	delete(header, "Idempotency-Key")
	if v := s.header["Idempotency-Key"]; len(v) > 0 {
		header["Idempotency-Key"] = []string{secret.Masked}
	}
	all, err := body.ReadAll()
	if err != nil {
		return sinks.Request{}, fmt.Errorf("reading the mail: %w", err)
	}
	shown := *to
	if shown.RawQuery != "" {
		shown.RawQuery = secret.Masked
	}
	at := shown.String()
	for _, part := range tokens(s.target.url) {
		at = strings.ReplaceAll(at, "/"+part, "/"+secret.Masked)
	}
	return sinks.Request{Method: s.method, URL: at, Header: header, Body: append([]byte(nil), all...)}, nil
}

// Check implements sinks.Checker: the name, a connection and TLS. It sends no
// request, which the receiver might take for a mail.
func (s *Sink) Check(ctx context.Context) []sinks.Finding {
	if s.target.hostMade {
		return []sinks.Finding{{Step: "url", OK: true, Said: "each mail names the host, so there is none to connect to; only the public Internet and allow_networks are connected to"}, s.checkSecret()}
	}
	to := s.target.url
	if s.transport.Proxy != nil {
		if proxy, err := s.transport.Proxy(&http.Request{URL: to}); err == nil && proxy != nil {
			return append(s.checkTCP(ctx, proxy.Hostname(), portOf(proxy.Scheme, proxy.Port())), s.checkSecret())
		}
	}
	findings := s.checkTCP(ctx, to.Hostname(), portOf(to.Scheme, to.Port()))
	if to.Scheme == "https" && findings[len(findings)-1].OK {
		findings = append(findings, s.checkTLS(ctx))
	}
	return append(findings, s.checkSecret())
}

func portOf(scheme, port string) string {
	switch {
	case port != "":
		return port
	case scheme == "https":
		return "443"
	case scheme == "socks5", scheme == "socks5h":
		return "1080"
	}
	return "80"
}

// checkTCP looks the host up and connects; the last finding tells whether that
// worked.
func (s *Sink) checkTCP(ctx context.Context, host, port string) []sinks.Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return []sinks.Finding{{Step: "DNS", Said: s.clean(err), Fix: "check the host in the sink's url, and this machine's name server"}}
	}
	found := sinks.Finding{Step: "DNS", OK: true, Said: fmt.Sprintf("%s has %s", host, listed(addresses))}
	conn, err := s.transport.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return []sinks.Finding{found, {Step: "TCP", Said: s.clean(err), Fix: "check that the receiver runs, and the port in the sink's url"}}
	}
	defer conn.Close()
	return []sinks.Finding{found, {Step: "TCP", OK: true, Said: "connected to " + conn.RemoteAddr().String()}}
}

// listed names the first of a host's addresses, and how many there are.
func listed(addresses []string) string {
	if len(addresses) == 1 {
		return "one address, " + addresses[0]
	}
	return fmt.Sprintf("%d addresses, the first is %s", len(addresses), addresses[0])
}

func (s *Sink) checkTLS(ctx context.Context) sinks.Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	d := tls.Dialer{Config: s.transport.TLSClientConfig.Clone()}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(s.target.url.Hostname(), portOf("https", s.target.url.Port())))
	if err != nil {
		advice, _ := untrusted(err)
		if advice == "" {
			advice = "check that the receiver speaks TLS on this port"
		}
		return sinks.Finding{Step: "TLS", Said: s.clean(err), Fix: advice}
	}
	defer conn.Close()
	state := conn.(*tls.Conn).ConnectionState()
	until := state.PeerCertificates[0].NotAfter
	days := int(until.Sub(s.clock.Now()) / (24 * time.Hour))
	return sinks.Finding{Step: "TLS", OK: true, Said: fmt.Sprintf("%s, the certificate has %d days left, until %s", tls.VersionName(state.Version), days, until.UTC().Format(time.DateOnly))}
}

// checkSecret says whether the receiver can tell who is posting.
func (s *Sink) checkSecret() sinks.Finding {
	switch n := len(s.signer.keys); n {
	case 0:
		return sinks.Finding{Step: "secret", OK: true, Said: "requests are not signed: anyone who knows the url can forge mail; " + howToMake}
	case 1:
		return sinks.Finding{Step: "secret", OK: true, Said: "requests are signed"}
	default:
		return sinks.Finding{Step: "secret", OK: true, Said: fmt.Sprintf("requests are signed with %d secrets; remove the old one when every receiver has the new", n)}
	}
}
