package mailtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/localca"
)

// Redis is a running Redis that belongs to one test. Its users are default, who
// needs no password, and RedisUser with RedisPassword, who may do everything.
// Every write is on disk before it is answered (appendfsync always).
type Redis struct {
	Addr, TLSAddr string // 127.0.0.1:port, in plain text and TLS
	Socket        string // the path of its Unix socket
	CAFile        string // the authority of its certificate, which is for localhost and 127.0.0.1
	*Proc

	t      testing.TB
	binary string
	args   []string
}

// RedisUser and RedisPassword are of a user who signs in.
const (
	RedisUser     = "ferry"
	RedisPassword = "a-password-of-redis"
)

// StartRedis starts a Redis and ends it when the test does. Extra arguments are
// further lines of its configuration: "maxmemory 1mb". A missing Redis fails the
// test.
func StartRedis(t testing.TB, config ...string) *Redis {
	t.Helper()
	dir, ca := brokerFolder(t)
	ports, err := freePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	r := &Redis{
		Addr: loopback(ports[0]), TLSAddr: loopback(ports[1]), Socket: filepath.Join(dir, "socket"), CAFile: filepath.Join(dir, "ca.pem"),
		t: t, binary: brokerBinary(t, "redis-server", "redis-server"),
	}
	lines := append([]string{
		"bind 127.0.0.1", fmt.Sprintf("port %d", ports[0]), fmt.Sprintf("tls-port %d", ports[1]), "unixsocket " + r.Socket,
		"tls-cert-file " + filepath.Join(dir, "cert.pem"), "tls-key-file " + filepath.Join(dir, "key.pem"), "tls-ca-cert-file " + r.CAFile, "tls-auth-clients no",
		"dir " + dir, "appendonly yes", "appendfsync always", `save ""`, "protected-mode no", "daemonize no",
		"user default on nopass ~* &* +@all", "user " + RedisUser + " on >" + RedisPassword + " ~* &* +@all",
	}, config...)
	if err := writeFiles(dir, ca, "redis.conf", strings.Join(lines, "\n")+"\n"); err != nil {
		t.Fatal(err)
	}
	r.args = []string{filepath.Join(dir, "redis.conf")}
	r.launch()
	return r
}

// Restart ends the server with SIGKILL and starts it again on what it has on
// disk, on the same ports.
func (r *Redis) Restart() {
	r.t.Helper()
	r.Kill()
	r.launch()
}

func (r *Redis) launch() {
	r.t.Helper()
	r.Proc = StartProc(r.t, Command{Path: r.binary, Args: r.args})
	r.awaitReady(r.t, func() error {
		said, err := saidBy(r.Addr, "PING\r\n")
		if err == nil && said != "+PONG" {
			err = errors.New(said)
		}
		return err
	})
}

// brokerFolder is a temporary folder with a short name, since the paths of
// sockets may have no more than 107 octets, and the authority for its servers.
func brokerFolder(t testing.TB) (string, *localca.CA) {
	t.Helper()
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ca, err := localca.New()
	if err != nil {
		t.Fatal(err)
	}
	return dir, ca
}

// writeFiles writes a configuration, and the files of TLS beside it: ca.pem,
// cert.pem and key.pem.
func writeFiles(dir string, ca *localca.CA, name, config string) error {
	for file, text := range map[string]string{"ca.pem": string(ca.PEM), "cert.pem": string(ca.CertPEM), "key.pem": string(ca.KeyPEM), name: config} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// brokerBinary finds a program of a Debian package.
func brokerBinary(t testing.TB, pkg, name string) string {
	t.Helper()
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin", "/opt/homebrew/sbin"} {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	t.Fatalf("%s is not installed, and the tests use the real one; run `make deps`, or: apt-get install -y --no-install-recommends %s", name, pkg)
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// awaitReady returns once ready gives no error, or fails the test: at once when
// the process has ended, else after five minutes, since the machine may be busy.
func (p *Proc) awaitReady(t testing.TB, ready func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Minute); ; {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended at once:\n%s\n%s", p.cmd.Path, tail(p.Stdout.String(), 4000), tail(p.Stderr.String(), 4000))
		case <-tick.C:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready after five minutes: %v\n%s", p.cmd.Path, err, tail(p.Stdout.String(), 4000))
		}
	}
}

// saidBy is the first line a server answers to an opening.
func saidBy(addr, opening string) (line string, err error) {
	err = talk(addr, opening, func(r *bufio.Reader) error {
		line, err = r.ReadString('\n')
		return err
	})
	return strings.TrimSpace(line), err
}

// octetsOf are the first n octets a server answers to an opening.
func octetsOf(addr, opening string, n int) ([]byte, error) {
	b := make([]byte, n)
	return b, talk(addr, opening, func(r *bufio.Reader) error {
		_, err := io.ReadFull(r, b)
		return err
	})
}

func listening(addr string) error {
	return talk(addr, "", func(*bufio.Reader) error { return nil })
}

func talk(addr, opening string, listen func(*bufio.Reader) error) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, opening); err != nil {
		return err
	}
	return listen(bufio.NewReader(c))
}

// Stop asks the process to end (SIGTERM), and returns when it has.
func (p *Proc) Stop(t testing.TB) {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.Wait(t, time.Minute)
}
