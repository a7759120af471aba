package mailtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Postfix is a running Postfix that belongs to one test, and delivers into the
// Maildirs of a Dovecot. SubmissionPort wants STARTTLS and a sign-in as one of
// Dovecot's users, SubmissionsPort the same with TLS from the first octet, and
// RelayPort takes mail in plain text from anybody on this machine. The certificate
// is the Dovecot's (CAFile). Nothing leaves the machine: an address outside
// example.com is accepted for delivery and bounced.
type Postfix struct {
	Host                                       string // 127.0.0.1
	SubmissionPort, SubmissionsPort, RelayPort int
	CAFile                                     string

	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the master has ended
}

// StartPostfix starts a Postfix for these users of the Dovecot (of example.com),
// and stops it when the test ends; if the test failed, its log is printed. Extra
// lines are added to the end of main.cf. Postfix insists on being started by root,
// on folders of root's, and on its own user and group, which its package makes;
// what is missing fails the test.
func StartPostfix(t testing.TB, d *Dovecot, users []string, config ...string) *Postfix {
	t.Helper()
	owner, err := postfixUser()
	if err != nil {
		t.Fatal(err)
	}
	p := &Postfix{Host: "127.0.0.1", CAFile: d.CAFile}
	if p.dir, err = os.MkdirTemp("", "postfix"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("postfix's log:\n%s", p.Log())
		}
		if err := os.RemoveAll(p.dir); err != nil {
			t.Error(err)
		}
	})
	if err := p.prepare(d, owner, users, config); err != nil {
		t.Fatalf("prepare postfix's folder: %v", err)
	}
	if err := p.start(); err != nil {
		t.Fatalf("start postfix: %v\n%s", err, p.Log())
	}
	t.Cleanup(p.Stop)
	return p
}

const postfixMaster = "/usr/lib/postfix/sbin/master"

// postfixUser is who owns Postfix's data.
func postfixUser() (*user.User, error) {
	if _, err := os.Stat(postfixMaster); err != nil {
		return nil, errors.New("Postfix is not installed, and the tests use the real one; run `make deps`, or: apt-get install -y --no-install-recommends postfix")
	}
	if os.Getuid() != 0 {
		return nil, errors.New("Postfix can only be started by root: run the tests that use it as root")
	}
	return user.Lookup("postfix")
}

// prepare writes the configuration, with free ports.
func (p *Postfix) prepare(d *Dovecot, owner *user.User, users, config []string) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	p.SubmissionPort, p.SubmissionsPort, p.RelayPort = ports[0], ports[1], ports[2]
	if err := os.Chmod(p.dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"etc", "spool", "data"} {
		if err := os.Mkdir(p.path(name), 0o755); err != nil {
			return err
		}
	}
	uid, _ := strconv.Atoi(owner.Uid)
	if err := os.Chown(p.path("data"), uid, -1); err != nil {
		return err
	}
	boxes := ""
	for _, u := range users {
		boxes += u + " " + u + "/\n"
	}
	values := strings.NewReplacer(
		"$dir", p.dir, "$dovecot", d.dir, "$uid", strconv.Itoa(d.owner.uid), "$gid", strconv.Itoa(d.owner.gid),
		"$submissions", strconv.Itoa(p.SubmissionsPort), "$submission", strconv.Itoa(p.SubmissionPort), "$relay", strconv.Itoa(p.RelayPort),
	)
	for name, text := range map[string]string{"boxes": boxes, "main.cf": values.Replace(postfixMain) + strings.Join(config, "\n") + "\n", "master.cf": values.Replace(postfixServices)} {
		if err := os.WriteFile(p.path("etc", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	// It makes the folders of the queue.
	out, err := exec.Command("/usr/sbin/postfix", "-c", p.path("etc"), "check").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// start starts the master and returns when the relay greets.
func (p *Postfix) start() error {
	out := new(bytes.Buffer)
	cmd := exec.Command(postfixMaster, "-d", "-c", p.path("etc"))
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, ownGroup()
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	p.cmd, p.done = cmd, done
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := p.greeted()
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

func (p *Postfix) greeted() error {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(p.Host, strconv.Itoa(p.RelayPort)), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "220") {
		err = fmt.Errorf("greeted with %q", line)
	}
	return err
}

// Stop kills the server with all its processes, to let clients meet its absence;
// Restart brings it back with its queue.
func (p *Postfix) Stop() {
	if p.cmd == nil {
		return
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	p.cmd = nil
}

// Restart stops the server and starts it again on the same ports.
func (p *Postfix) Restart(t testing.TB) {
	t.Helper()
	p.Stop()
	if err := p.start(); err != nil {
		t.Fatalf("restart postfix: %v\n%s", err, p.Log())
	}
}

// Log is all that Postfix has logged.
func (p *Postfix) Log() string {
	b, err := os.ReadFile(p.path("log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err.Error()
	}
	return string(b)
}

func (p *Postfix) path(elem ...string) string {
	return filepath.Join(append([]string{p.dir}, elem...)...)
}

const postfixMain = `
compatibility_level = 3.6
queue_directory = $dir/spool
data_directory = $dir/data
maillog_file = $dir/log
maillog_file_prefixes = $dir
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.com
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
local_recipient_maps =
local_transport = error:there are no local users
default_transport = error:nothing leaves this machine
relay_transport = error:nothing leaves this machine
virtual_mailbox_domains = example.com
virtual_mailbox_base = $dovecot/mail
virtual_mailbox_maps = texthash:$dir/etc/boxes
virtual_uid_maps = static:$uid
virtual_gid_maps = static:$gid
virtual_minimum_uid = 1
smtpd_peername_lookup = no
smtpd_tls_cert_file = $dovecot/cert.pem
smtpd_tls_key_file = $dovecot/key.pem
smtpd_sasl_type = dovecot
smtpd_sasl_path = $dovecot/run/auth-smtp
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
`

const postfixServices = `
127.0.0.1:$relay inet n - n - - smtpd
127.0.0.1:$submission inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject -o smtpd_recipient_restrictions=reject_unlisted_recipient,permit
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
127.0.0.1:$submissions inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject -o smtpd_recipient_restrictions=reject_unlisted_recipient,permit
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`
