package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// errForbidden is that an address is not one a mail may choose.
var errForbidden = errors.New("the address is not on the public Internet, and part of the url comes from the mail")

// global is the part of IPv6 that is in use on the Internet (RFC 4291, section
// 2.4); within it, and in IPv4, forbidden are the addresses with a special purpose
// (the IANA registries after RFC 6890), which name this machine, its neighbours,
// nobody, or an IPv4 address in disguise.
var (
	global    = netip.MustParsePrefix("2000::/3")
	forbidden = prefixes(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"168.63.129.16/32", // the metadata and name service of Azure, on an address that looks public
		"2001::/23",        // Teredo, ORCHID, benchmarks and other protocols (RFC 2928)
		"2001:db8::/32",    // documentation (RFC 3849)
		"2002::/16",        // 6to4: an IPv4 address within (RFC 3056)
		"3fff::/20",        // documentation (RFC 9637)
	)
)

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, s := range list {
		all[i] = netip.MustParsePrefix(s)
	}
	return all
}

// isPublic tells whether an address is one of the Internet at large. IPv4 within
// IPv6 counts as IPv4 where it is that on the wire (::ffff:0:0/96), and is refused
// in every other disguise (NAT64, 6to4, Teredo, ISATAP).
func isPublic(ip netip.Addr) bool {
	if !ip.IsValid() || ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap()
	if ip.Is6() {
		b := ip.As16()
		isatap := b[8]&0xfd == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe // RFC 5214, section 6.1
		if !global.Contains(ip) || isatap {
			return false
		}
	}
	return !within(forbidden, ip)
}

func within(list []netip.Prefix, ip netip.Addr) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// guard refuses to connect to addresses a mail may not choose. It looks at the
// address that is about to be connected to, after the name was resolved, so that
// no name and no spelling of an address gets around it.
type guard struct{ allowed []netip.Prefix }

// newGuard reads allow_networks.
func newGuard(networks []string) (*guard, error) {
	g := &guard{}
	for _, s := range networks {
		p, err := netip.ParsePrefix(s)
		if ip, ipErr := netip.ParseAddr(s); err != nil && ipErr == nil && ip.Zone() == "" {
			p, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("allow_networks: %q is no network; write 10.1.2.0/24 or 10.1.2.3", s)
		}
		g.allowed = append(g.allowed, p.Masked())
	}
	return g, nil
}

func (g *guard) allows(ip netip.Addr) bool {
	return isPublic(ip) || ip.Zone() == "" && within(g.allowed, ip.Unmap())
}

// control implements net.Dialer.ControlContext.
func (g *guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !g.allows(to.Addr()) {
		return fmt.Errorf("%s: %w", address, errForbidden)
	}
	return nil
}

// dialer connects as every webhook does; guarded is nil where the whole url is
// the operator's.
func dialer(guarded *guard) *net.Dialer {
	d := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	if guarded != nil {
		d.ControlContext = guarded.control
	}
	return d
}
