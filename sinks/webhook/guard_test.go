package webhook

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestOnlyThePublicInternetIsPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "93.184.216.34": true, "100.63.255.255": true, "100.128.0.1": true, "172.15.0.1": true, "172.32.0.1": true,
		"198.17.0.1": true, "198.20.0.1": true, "223.255.255.255": true, "2606:4700::1111": true, "2a00:1450::1": true, "::ffff:8.8.8.8": true,

		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "10.255.255.255": false, "100.64.0.1": false, "100.100.100.200": false, "127.0.0.1": false,
		"127.255.255.254": false, "169.254.169.254": false, "172.16.0.1": false, "172.31.255.255": false, "192.0.0.192": false, "192.0.2.1": false,
		"192.88.99.1": false, "192.168.1.1": false, "198.18.0.1": false, "198.19.255.255": false, "198.51.100.1": false, "203.0.113.1": false,
		"224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false, "168.63.129.16": false,

		"::": false, "::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "::127.0.0.1": false,
		"::ffff:0:127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b::808:808": false, "64:ff9b:1::7f00:1": false, "100::1": false,
		"2001::1": false, "2001:0:7f00:1::": false, "2001:db8::1": false, "2001:20::1": false, "2002:7f00:1::": false, "2002:a00:1::1": false,
		"3fff::1": false, "5f00::1": false, "fc00::1": false, "fd00:ec2::254": false, "fe80::1": false, "fe80::1%lo": false, "fec0::1": false,
		"ff02::1": false, "2606:4700::5efe:7f00:1": false, "2606:4700::200:5efe:7f00:1": false, "4000::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is public: %v", address, got)
		}
	}
	if isPublic(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestNetworksAreAllowedAsTheyAreWritten(t *testing.T) {
	g, err := newGuard([]string{"10.1.2.0/24", "127.0.0.5", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"10.1.2.3": true, "10.1.3.3": false, "127.0.0.5": true, "127.0.0.1": false, "::ffff:10.1.2.3": true, "fd00::1": true, "fd00::1%lo": false, "8.8.8.8": true,
	} {
		if got := g.allows(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is allowed: %v", address, got)
		}
	}
	for _, s := range []string{"", "ten", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "fe80::1%lo"} {
		if _, err := newGuard([]string{s}); err == nil {
			t.Errorf("%q is a network", s)
		}
	}
}

// spellings of this machine and its neighbours, as url.URL.Hostname gives them.
func spellings() []string {
	hosts := []string{
		"127.0.0.1", "127.1", "127.0.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "0177.0.0.0x1", "127.000.000.001", "127.0.0.1.",
		"127.127.127.127", "0", "0.0.0.0", "0x0", "localhost", "LOCALHOST", "localhost.", "localhost.localdomain", "a.localhost", "ip6-localhost", "ip6-loopback",
		"::1", "0:0:0:0:0:0:0:1", "::0001", "::", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:7f00:1", "::127.0.0.1", "::1%lo", "fe80::1%lo", "fe80::1%eth0",
		"64:ff9b::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "::ffff:0:127.0.0.1",
		"①②⑦.⓪.⓪.①", "127。0。0。1", "１２７.0.0.1", "ⓛocalhost", "loc\u00adalhost", "xn--localhost-",
		"10.0.0.1", "10.255.255.255", "172.16.0.1", "192.168.0.1", "169.254.169.254", "2852039166", "0xa9fea9fe", "169.254.43518", "100.100.100.200", "fd00:ec2::254",
		"192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "metadata.test", "rebind.test", "169.254.169.254.nip.test",
	}
	return hosts
}

// However this machine and its neighbours are written, and whatever a name
// resolves to, nothing is connected to. The name server gives them every name.
func TestNoSpellingOfAForbiddenAddressIsConnectedTo(t *testing.T) {
	var accepted atomic.Int64
	address := listener(t, func(net.Conn) { accepted.Add(1) })
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	answers := []string{"127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "fd00:ec2::254", "::ffff:127.0.0.1", "64:ff9b::7f00:1"}
	g, err := newGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	var first atomic.Int64 // of the answers; each name leads elsewhere at every question after it
	d := dialer(g)
	d.Resolver = names(t, func(n int) string { return answers[(int(first.Load())+n)%len(answers)] })
	var looked, connects atomic.Int64
	guarded := d.ControlContext
	d.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		looked.Add(1)
		err := guarded(ctx, network, address, c)
		if err == nil {
			connects.Add(1) // the SYN would follow
		}
		return err
	}
	if len(spellings()) < 60 {
		t.Fatalf("only %d spellings", len(spellings()))
	}
	for range answers {
		first.Add(1)
		for _, host := range spellings() {
			conn, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
			if err == nil {
				t.Errorf("%s was connected to: %s", host, conn.RemoteAddr())
				conn.Close()
			}
		}
	}
	if n := connects.Load(); n != 0 || looked.Load() < 300 {
		t.Errorf("of %d addresses %d would have been connected to", looked.Load(), n)
	}
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address) // the listener is there
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// A name that leads to an allowed address when it is looked at, and to another
// when it is connected to, leads nowhere.
func TestANameThatRebindsIsHeldToTheAddressThatIsConnectedTo(t *testing.T) {
	var wrong atomic.Int64
	address := listener(t, func(net.Conn) { wrong.Add(1) })
	_, port, _ := net.SplitHostPort(address)
	other, err := net.Listen("tcp", net.JoinHostPort("127.0.0.2", port))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	g, err := newGuard([]string{"127.0.0.2"})
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	d := dialer(g)
	d.Resolver = names(t, func(int) string {
		if asked.Add(1)%2 == 1 {
			return "127.0.0.2"
		}
		return "127.0.0.1"
	})
	right := 0
	for range 20 {
		conn, err := d.DialContext(t.Context(), "tcp4", net.JoinHostPort("rebind.test", port))
		switch {
		case err == nil:
			right++
			conn.Close()
		case !errors.Is(err, errForbidden):
			t.Error(err)
		}
	}
	if right == 0 || right == 20 || wrong.Load() != 0 {
		t.Errorf("%d connections to the allowed address, %d to the other", right, wrong.Load())
	}
}

func TestAUrlOfAMailThatLeadsToANeighbourIsADeadLetter(t *testing.T) {
	var accepted atomic.Int64
	address := listener(t, func(net.Conn) { accepted.Add(1) })
	_, port, _ := net.SplitHostPort(address)
	s := makeSink(t, Options{URL: `http://{{ header("x-host") }}:` + port + `/hook`, Insecure: true}, sinks.Env{})
	g, err := newGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := dialer(g)
	d.Resolver = names(t, func(int) string { return "127.0.0.1" })
	s.transport.DialContext = d.DialContext
	for _, host := range []string{"127.0.0.1", "localhost", "internal.test", "10.0.0.1", "169.254.169.254"} {
		_, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, "X-Host: "+host+"\r\n\r\nx"))
		if err == nil || sinks.IsSinkFault(err) {
			t.Errorf("%s: %v", host, err)
		}
		if !sinks.IsPermanent(err) {
			t.Errorf("%s is no dead letter: %v", host, err)
		}
	}
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
}

// names asks a name server that gives every name the address that answer gives
// for its n-th question.
func names(t testing.TB, answer func(n int) string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for n := 0; ; n++ {
			size, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:size]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			reply := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
			ip := netip.MustParseAddr(answer(n))
			h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0}
			switch {
			case q.Type == dnsmessage.TypeA && ip.Is4():
				reply.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: ip.As4()}}}
			case q.Type == dnsmessage.TypeA:
				reply.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
			case q.Type == dnsmessage.TypeAAAA && ip.Is6():
				reply.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}}}
			}
			packed, err := reply.Pack()
			if err != nil {
				continue
			}
			pc.WriteTo(packed, from)
		}
	}()
	t.Cleanup(func() { pc.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func FuzzGuard(f *testing.F) {
	for _, host := range spellings() {
		f.Add(host, 443)
	}
	g, err := newGuard(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, host string, port int) {
		err := g.control(t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)), nil)
		ip, parseErr := netip.ParseAddr(host)
		if err == nil && (parseErr != nil || ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified()) {
			t.Fatalf("%q is allowed", host)
		}
	})
}
