// Package dial opens connections to mail servers: TCP, TLS from the first octet
// (RFC 8314 section 3) or the upgrade in band that STARTTLS and STLS ask for,
// with the limits that keep a slow, silent or endless server from holding a
// worker.
//
// A Server says where to go and how it is secured, TLS says whom to trust, and a
// Dialer joins them:
//
//	server, err := dial.Parse("imaps://imap.example.com", false)
//	config, err := dial.TLS{CAFile: "ca.pem"}.Config(server.Host)
//	d := &dial.Dialer{Server: server, TLS: config}
//	conn, err := d.Dial(ctx)
//
// Certificates are always verified; there is no switch to turn that off. Clear
// text is spoken only by a Server of mode Plain, which Parse gives for insecure
// alone. A connection of mode StartTLS begins in clear text, and its user calls
// Conn.Upgrade after the server's agreement and before anything else: the
// upgrade is required, never opportunistic.
//
// A Conn refreshes a deadline on every read and write, counts octets, and stops
// at a budget. After the first failure it stays failed. To interrupt a blocked
// call, close the Conn: context.AfterFunc(ctx, func() { conn.Close() }).
package dial

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// Defaults of a Dialer.
const (
	DefaultConnectTimeout = 30 * time.Second
	DefaultRead           = 60 * time.Second
	DefaultWrite          = 60 * time.Second
)

// Dialer opens connections to one server. It is safe for concurrent use.
type Dialer struct {
	Server Server
	// TLS is used for mode Implicit; nil stands for TLS{}.Config(Server.Host).
	TLS *tls.Config
	// ConnectTimeout bounds DNS, TCP and each TLS handshake together;
	// 0 is DefaultConnectTimeout.
	ConnectTimeout time.Duration
	Limits         Limits
}

// Dial resolves and connects, and for mode Implicit makes the TLS handshake.
// Its errors are *Error of stage "dns", "tcp" or "tls".
func (d *Dialer) Dial(ctx context.Context) (*Conn, error) {
	timeout := d.ConnectTimeout
	if timeout <= 0 {
		timeout = DefaultConnectTimeout
	}
	dialling, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	record := RecordOf(ctx)
	record.dialling(d.Server)
	raw, err := new(net.Dialer).DialContext(record.watch(dialling, d.Server), "tcp", d.Server.Address())
	if err != nil {
		return nil, connectError(d.Server, timeout, err)
	}
	record.Said("connected to %s", raw.RemoteAddr())
	c := newConn(raw, d.Server, timeout, d.Limits)
	c.record = record
	if d.Server.Mode != Implicit {
		return c, nil
	}
	config := d.TLS
	if config == nil {
		if config, err = (TLS{}).Config(d.Server.Host); err != nil {
			c.Close()
			return nil, &Error{Stage: "tls", Err: err}
		}
	}
	if err := c.handshake(dialling, config); err != nil {
		return nil, err
	}
	return c, nil
}
