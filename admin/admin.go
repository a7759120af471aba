// Package admin is how others look at a running service: a control socket
// beside the store, readable by its owner alone, by which postferry's own
// commands ask and act, and a listener for health checks. While the service runs
// it owns the store, so `status` and its kin ask here; only when nobody runs do
// they open the store themselves.
//
// The socket speaks HTTP with JSON; its routes are postferry's own business and
// may change with every version. socket.go serves, client.go asks, feed.go
// carries the live events of `tail`, health.go answers probes.
package admin

import (
	"time"

	"github.com/postferry/postferry/spool"
)

// Status is the answer of `postferry status -o json`.
type Status struct {
	Running bool         `json:"running"`
	Version string       `json:"version"`
	PID     int          `json:"pid"`     // 0 when not running
	Started *time.Time   `json:"started"` // nil when not running
	Slowed  []Slowed     `json:"slowed"`  // mailboxes polled less often than they are configured to be
	Store   spool.Status `json:"spool"`
}

// Slowed is a mailbox whose server wants more time between sign-ins than the schedule
// leaves.
type Slowed struct {
	Mailbox string    `json:"mailbox"`
	Seconds int64     `json:"seconds"` // from one sign-in to the next
	Until   time.Time `json:"until"`   // there is none before
}

// SocketPath is where the control socket of a store stands.
func SocketPath(store string) string { return store + ".sock" }
