package dial

import (
	"net/netip"
	"strings"
)

// IsLoopback tells whether host, a name or an address without brackets, is this
// machine for certain, so that clear text sent there is heard by no other: the
// loopback addresses, and the name localhost in any case, with a final dot or
// without.
//
// The names below .localhost are not among them. RFC 6761 section 6.3 reserves
// them as it does localhost, but only asks of resolvers (SHOULD) that they answer
// them with loopback addresses; those that do not ask the network, and whoever
// answers there would be sent the password. For localhost itself every system
// has a line in its hosts file.
func IsLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
