package dial

import "net"

// NewRecorded is a connection whose record notes what is said.
func NewRecorded(raw net.Conn, server Server, r *Record) *Conn {
	c := newConn(raw, server, DefaultConnectTimeout, Limits{})
	c.record = r
	r.dialling(server)
	return c
}
