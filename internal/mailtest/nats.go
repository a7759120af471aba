package mailtest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// NATS is a running nats-server with JetStream that belongs to one test.
type NATS struct {
	Addr string // 127.0.0.1:port
	URL  string // nats://127.0.0.1:port
	*Proc

	binary string
	config string
}

// StartNATS starts a nats-server and ends it when the test does. Extra lines are
// added to its configuration: "max_payload: 8MB", "authorization { user: u, password:
// p }". What a stream has confirmed is on disk (sync_interval: always). The server is
// built from the module in natsd, since Debian's cannot promise that.
func StartNATS(t testing.TB, config ...string) *NATS {
	t.Helper()
	n := &NATS{binary: buildNATS(t)}
	dir := t.TempDir()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	n.Addr = loopback(ports[0])
	n.URL = "nats://" + n.Addr
	n.config = filepath.Join(dir, "nats.conf")
	lines := append([]string{
		"listen: " + strconv.Quote(n.Addr),
		"jetstream { store_dir: " + strconv.Quote(filepath.Join(dir, "store")) + ", sync_interval: always }",
	}, config...)
	if err := os.WriteFile(n.config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.Start(t)
	return n
}

// Start starts the server again where it was, with what it has stored, and returns
// when it takes connections.
func (n *NATS) Start(t testing.TB) {
	t.Helper()
	n.Proc = StartProc(t, Command{Path: n.binary, Args: []string{"-c", n.config}})
	n.Stderr.Await(t, "Server is ready")
}

// Restart kills the server and starts it again.
func (n *NATS) Restart(t testing.TB) {
	t.Helper()
	n.Kill()
	n.Start(t)
}
