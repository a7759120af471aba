package dial_test

import (
	"testing"

	"github.com/postferry/postferry/internal/dial"
)

func TestThisMachineIsLocalhostAndTheLoopbackAddressesAlone(t *testing.T) {
	for _, c := range []struct {
		host string
		is   bool
	}{
		{"localhost", true}, {"LocalHost", true}, {"localhost.", true},
		{"127.0.0.1", true}, {"127.255.255.254", true}, // RFC 1122 section 3.2.1.3: all of 127/8
		{"::1", true}, {"0:0:0:0:0:0:0:1", true}, {"::ffff:127.0.0.1", true}, // RFC 4291 sections 2.5.3 and 2.5.5.2

		{"app.localhost", false}, {"app.localhost.", false}, // a resolver may ask the network for them
		{"localhost.example.com", false}, {"localhost.localdomain", false}, {"mylocalhost", false}, {"localhost..", false}, {".localhost", false},
		{"0.0.0.0", false}, {"::", false}, {"", false}, {".", false},
		{"127.1", false}, {"2130706433", false}, {"0x7f.0.0.1", false}, {"127.0.0.1.", false}, {"[::1]", false}, // what a resolver makes of them is its own affair
		{"::127.0.0.1", false}, {"::ffff:10.0.0.1", false}, {"10.0.0.1", false}, {"169.254.0.1", false}, {"fe80::1", false}, {"::2", false},
	} {
		if got := dial.IsLoopback(c.host); got != c.is {
			t.Errorf("%q: %v", c.host, got)
		}
	}
}
