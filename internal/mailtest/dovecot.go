package mailtest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/localca"
)

// Dovecot is a running Dovecot that belongs to one test. IMAPPort and POP3Port
// speak plain text with STARTTLS and STLS offered and sign-in in the clear
// allowed; IMAPSPort and POP3SPort speak TLS from the first octet. The
// certificate is valid for localhost, 127.0.0.1 and ::1, under the authority
// in CAFile.
type Dovecot struct {
	Host                                     string // 127.0.0.1
	IMAPPort, IMAPSPort, POP3Port, POP3SPort int
	CAFile                                   string
	CA                                       *localca.CA

	dir   string // holds everything; short, since socket paths may not exceed 107 octets
	bin   string
	owner mailOwner
	cmd   *exec.Cmd
	done  chan struct{} // closed when the master has ended

	mu    sync.Mutex
	users []string // lines of the passwd-file
	edits int
}

// StartDovecot starts a Dovecot and stops it when the test ends; if the test
// failed, its log is printed. Extra lines are added to the end of its
// configuration: "imap_capability = IMAP4rev1 IDLE" takes extensions away,
// "pop3_uidl_format = %f" changes the unique-ids. It works as root and as an
// ordinary user; a missing Dovecot fails the test.
func StartDovecot(t testing.TB, config ...string) *Dovecot {
	t.Helper()
	bin, err := dovecotBinary()
	if err != nil {
		t.Fatal(err)
	}
	ca, err := localca.New()
	if err != nil {
		t.Fatal(err)
	}
	d := &Dovecot{Host: "127.0.0.1", CA: ca}
	if d.dir, err = os.MkdirTemp("", "dovecot"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("dovecot's log:\n%s", d.Log())
		}
		d.remove(t)
	})
	if d.owner, err = d.prepare(); err != nil {
		t.Fatalf("prepare dovecot's folder: %v", err)
	}
	for try := 1; ; try++ {
		err := d.start(bin, config)
		if err == nil {
			break
		}
		d.Stop()
		if try == 5 || !strings.Contains(d.Log(), "Address already in use") {
			t.Fatalf("start dovecot: %v\n%s", err, d.Log())
		}
	}
	t.Cleanup(d.Stop)
	return d
}

// dovecotBinary finds the master and the two protocol servers, which Debian
// packs separately.
func dovecotBinary() (string, error) {
	var missing []string
	bin := ""
	for _, p := range []string{"/usr/sbin/dovecot", "/usr/local/sbin/dovecot"} {
		if _, err := os.Stat(p); err == nil {
			bin = p
			break
		}
	}
	if bin == "" {
		if p, err := exec.LookPath("dovecot"); err == nil {
			bin = p
		}
	}
	libexec := "/usr/lib/dovecot"
	if bin != "" && !strings.HasPrefix(bin, "/usr/sbin") {
		libexec = filepath.Join(filepath.Dir(filepath.Dir(bin)), "libexec/dovecot")
	}
	for pkg, name := range map[string]string{"dovecot-imapd": "imap", "dovecot-pop3d": "pop3"} {
		if _, err := os.Stat(filepath.Join(libexec, name)); bin == "" || err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("Dovecot is not installed, and the tests use the real one; run `make deps`, or: apt-get install -y --no-install-recommends dovecot-imapd dovecot-pop3d")
	}
	return bin, nil
}

// start writes the configuration with four free ports and launches the master.
func (d *Dovecot) start(bin string, config []string) error {
	ports, err := freePorts(4)
	if err != nil {
		return err
	}
	d.IMAPPort, d.IMAPSPort, d.POP3Port, d.POP3SPort = ports[0], ports[1], ports[2], ports[3]
	if err := os.WriteFile(d.path("dovecot.conf"), []byte(d.config(config)), 0o644); err != nil {
		return err
	}
	d.bin = bin
	return d.launch()
}

// launch starts the master on the configuration as written and returns when it
// has greeted a client.
func (d *Dovecot) launch() error {
	out := new(bytes.Buffer)
	cmd := exec.Command(d.bin, "-F", "-c", d.path("dovecot.conf"))
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = d.dir, out, out, ownGroup()
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	d.cmd, d.done = cmd, done

	deadline := time.Now().Add(20 * time.Second)
	for {
		err := d.greeted()
		if err == nil {
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("it ended at once: %s", out)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no greeting within 20 s: %w", err)
		}
	}
}

// remove deletes the folder. A killed child may still be writing its last file.
func (d *Dovecot) remove(t testing.TB) {
	var err error
	for range 100 {
		if err = os.RemoveAll(d.dir); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("remove dovecot's folder: %v", err)
}

// greeted asks the server for its IMAP greeting.
func (d *Dovecot) greeted() error {
	c, err := net.DialTimeout("tcp", d.IMAPAddr(), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "* OK") {
		return fmt.Errorf("greeted with %q", line)
	}
	return nil
}

// Stop kills the server with all its sessions, to let clients meet its absence;
// Restart brings it back.
func (d *Dovecot) Stop() {
	if d.cmd == nil {
		return
	}
	// Asked to end, Dovecot takes a second; nothing here is worth waiting for.
	syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	<-d.done
	d.cmd = nil
}

// Restart stops the server and starts it again on the same ports, with the same
// users and mail.
func (d *Dovecot) Restart(t testing.TB) {
	t.Helper()
	d.Stop()
	if err := d.launch(); err != nil {
		t.Fatalf("restart dovecot: %v\n%s", err, d.Log())
	}
}

// IMAPAddr is the host:port of plain IMAP with STARTTLS.
func (d *Dovecot) IMAPAddr() string { return fmt.Sprintf("%s:%d", d.Host, d.IMAPPort) }

// IMAPSAddr is the host:port of IMAP over TLS.
func (d *Dovecot) IMAPSAddr() string { return fmt.Sprintf("%s:%d", d.Host, d.IMAPSPort) }

// POP3Addr is the host:port of plain POP3 with STLS.
func (d *Dovecot) POP3Addr() string { return fmt.Sprintf("%s:%d", d.Host, d.POP3Port) }

// POP3SAddr is the host:port of POP3 over TLS.
func (d *Dovecot) POP3SAddr() string { return fmt.Sprintf("%s:%d", d.Host, d.POP3SPort) }

// Log is all that Dovecot has logged.
func (d *Dovecot) Log() string {
	b, err := os.ReadFile(d.path("log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err.Error()
	}
	return string(b)
}

// AddUser adds an account, or gives an existing one a new password.
func (d *Dovecot) AddUser(t testing.TB, name, password string) {
	t.Helper()
	if name == "" || strings.ContainsAny(name, ":/\r\n\x00 ") || strings.HasPrefix(name, ".") {
		t.Fatalf("add user %q: the name cannot stand in a passwd-file", name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.users[:0]
	for _, l := range d.users {
		if !strings.HasPrefix(l, name+":") {
			lines = append(lines, l)
		}
	}
	d.users = append(lines, name+":{PLAIN.b64}"+base64.StdEncoding.EncodeToString([]byte(password)))
	// Dovecot reads the file anew when its size or the second of its time
	// changes; a comment that grows makes every edit a change of size.
	d.edits++
	text := strings.Join(d.users, "\n") + "\n#" + strings.Repeat("x", d.edits) + "\n"
	tmp := d.path("users.new")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		t.Fatalf("add user %s: %v", name, err)
	}
	if err := os.Rename(tmp, d.path("users")); err != nil {
		t.Fatalf("add user %s: %v", name, err)
	}
}

func (d *Dovecot) path(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

// freePorts finds loopback ports nobody listens on, below the range the system
// gives to outgoing connections.
func freePorts(n int) ([]int, error) {
	var ports []int
	for try := 0; len(ports) < n; try++ {
		if try == 1000 {
			return nil, errors.New("no free loopback ports")
		}
		p := 10000 + rand.IntN(22000)
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			continue
		}
		defer ln.Close()
		ports = append(ports, p)
	}
	return ports, nil
}
