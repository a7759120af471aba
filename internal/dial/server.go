package dial

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Mode is how a connection is secured.
type Mode int

// The modes.
const (
	Implicit Mode = iota // TLS from the first octet
	StartTLS             // clear text first; the upgrade is required
	Plain                // clear text, only where the operator wrote insecure: true
)

// String is the mode's name in logs.
func (m Mode) String() string {
	return [...]string{"implicit TLS", "STARTTLS", "plain text"}[m]
}

// Server says where a server is and how connections to it are secured.
type Server struct {
	Scheme string // imaps imap pop3s pop3 smtps smtp
	Host   string // a name in ASCII (IDNA A-labels) or an address without brackets
	Port   string // 1 to 65535
	Mode   Mode
}

type scheme struct {
	port string
	mode Mode
}

// The ports are those of RFC 8314 section 7 and RFC 6409 section 3.1.
var schemes = map[string]scheme{
	"imaps": {"993", Implicit},
	"imap":  {"143", StartTLS},
	"pop3s": {"995", Implicit},
	"pop3":  {"110", StartTLS},
	"smtps": {"465", Implicit},
	"smtp":  {"587", StartTLS},
}

// Parse reads "imaps://host[:port]" and the like. insecure turns the required
// upgrade of imap://, pop3:// and smtp:// into plain text; with a scheme that
// means TLS it is an error. A user, a path or a query in the URL is an error, and
// no error repeats what stood before an "@".
func Parse(rawURL string, insecure bool) (Server, error) {
	name, rest, found := strings.Cut(rawURL, "://")
	if !found {
		return Server{}, fmt.Errorf("server has no scheme: write imaps://, imap://, pop3s://, pop3://, smtps:// or smtp:// before the host")
	}
	name = strings.ToLower(name)
	known, ok := schemes[name]
	if !ok {
		return Server{}, fmt.Errorf("server scheme %q is not imaps, imap, pop3s, pop3, smtps or smtp", Printable(name))
	}
	if strings.Contains(rest, "@") {
		return Server{}, fmt.Errorf("server must not hold a user name or password: use username and password")
	}
	u, err := url.Parse(name + "://" + rest)
	if err != nil {
		return Server{}, fmt.Errorf("server %q is not %s://host or %s://host:port", Printable(rawURL), name, name)
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return Server{}, fmt.Errorf("server %q must end after the host and port", Printable(rawURL))
	}
	s := Server{Scheme: name, Port: u.Port(), Mode: known.mode}
	if s.Host, err = hostName(u.Hostname()); err != nil {
		return Server{}, fmt.Errorf("server %q: %w", Printable(rawURL), err)
	}
	if s.Port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return Server{}, fmt.Errorf("server %q: the port after the colon is missing", Printable(rawURL))
		}
		s.Port = known.port
	}
	if n, err := strconv.ParseUint(s.Port, 10, 16); err != nil || n == 0 {
		return Server{}, fmt.Errorf("server port %q is not 1 to 65535", Printable(s.Port))
	}
	if !insecure {
		return s, nil
	}
	if s.Mode == Implicit {
		return Server{}, fmt.Errorf("insecure: true has no meaning with %s://, which is always TLS: remove it, or write %s:// for plain text", name, strings.TrimSuffix(name, "s"))
	}
	s.Mode = Plain
	return s, nil
}

// hostName checks a host and turns an internationalised name into A-labels.
func hostName(host string) (string, error) {
	if host == "" {
		return "", fmt.Errorf("the host is missing")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return host, nil
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err == nil {
		_, err = idna.Lookup.ToASCII(ascii) // A-labels made from octets that are no text do not come through a second time
	}
	if err != nil || strings.Trim(ascii, ".") != ascii || ascii == "" {
		return "", fmt.Errorf("%q is not a host name", Printable(host))
	}
	return ascii, nil
}

// Address is host:port, with brackets around an IPv6 address.
func (s Server) Address() string { return net.JoinHostPort(s.Host, s.Port) }

// String is the server as Parse reads it.
func (s Server) String() string { return s.Scheme + "://" + s.Address() }
