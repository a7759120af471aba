package mailtest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const ada, password = "ada@example.com", "pass:word{}\\ \"é"

// signIn opens a session with a bare go-imap client.
func signIn(t *testing.T, d *Dovecot) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(d.IMAPAddr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login(ada, password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// fetchAll gives every mail of a folder through IMAP, by UID.
func fetchAll(t *testing.T, c *imapclient.Client, folder string) [][]byte {
	t.Helper()
	if _, err := c.Select(folder, nil).Wait(); err != nil {
		t.Fatal(err)
	}
	section := &imap.FetchItemBodySection{Peek: true}
	all := imap.UIDSet{imap.UIDRange{Start: 1, Stop: 0}}
	msgs, err := c.Fetch(all, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, m := range msgs {
		out = append(out, m.FindBodySection(section))
	}
	return out
}

func TestStoredIsWhatIMAPServes(t *testing.T) {
	d := StartDovecot(t)
	d.AddUser(t, ada, password)
	mails := [][]byte{
		[]byte("Subject: crlf\r\n\r\nbody\r\n"),
		[]byte("Subject: bare LF\n\nbody\n"),
		[]byte("Subject: no end\r\n\r\nno line end"),
		[]byte("Subject: bare CR\r\n\r\na\rb\r\r\n\r\n"),
		[]byte("Subject: NUL and eight bits\r\n\r\n\x00\x00\xff\xfe\x80\r\n"),
		[]byte("Subject: only a header\r\n"),
		[]byte("\r\nonly a body\r\n"),
		[]byte("Subject: dots\r\n\r\n.\r\n..\r\n"),
		bytes.Repeat([]byte("x"), 100_000),
	}
	for _, m := range mails {
		d.Append(t, ada, "INBOX", m)
	}
	want := slicesOf(mails)
	want[1] = []byte("Subject: bare LF\r\n\r\nbody\r\n")
	want[4] = []byte("Subject: NUL and eight bits\r\n\r\n\x80\x80\xff\xfe\x80\r\n")

	if got := d.Stored(t, ada, "INBOX"); !reflect.DeepEqual(got, want) {
		t.Errorf("Stored before any session = %q\nwant %q", got, want)
	}
	if got := fetchAll(t, signIn(t, d), "INBOX"); !reflect.DeepEqual(got, want) {
		t.Errorf("FETCH BODY[] = %q\nwant %q", got, want)
	}
	if got := d.Stored(t, ada, "INBOX"); !reflect.DeepEqual(got, want) {
		t.Errorf("Stored after a session = %q\nwant %q", got, want)
	}
}

func slicesOf(in [][]byte) [][]byte { return append([][]byte(nil), in...) }

func TestMailSavedThroughIMAPIsStoredInUIDOrder(t *testing.T) {
	d := StartDovecot(t)
	d.AddUser(t, ada, password)
	d.Append(t, ada, "INBOX", []byte("Subject: 1\r\n\r\n1\r\n"))
	c := signIn(t, d)
	raw := []byte("Subject: 2\r\n\r\n2\r\n")
	w := c.Append("INBOX", int64(len(raw)), nil)
	w.Write(raw)
	w.Close()
	if _, err := w.Wait(); err != nil {
		t.Fatal(err)
	}
	d.Append(t, ada, "INBOX", []byte("Subject: 3\r\n\r\n3\r\n"))
	got := fetchAll(t, c, "INBOX")
	want := [][]byte{[]byte("Subject: 1\r\n\r\n1\r\n"), raw, []byte("Subject: 3\r\n\r\n3\r\n")}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("FETCH = %q, want %q", got, want)
	}
	if got := d.Stored(t, ada, "INBOX"); !reflect.DeepEqual(got, want) {
		t.Errorf("Stored = %q, want %q", got, want)
	}
}

func TestFlagsAndFoldersAreTold(t *testing.T) {
	d := StartDovecot(t)
	d.AddUser(t, ada, password)
	one, two := []byte("Subject: one\r\n\r\n1\r\n"), []byte("Subject: two\r\n\r\n2\r\n")
	d.Append(t, ada, "INBOX", one)
	d.Append(t, ada, "INBOX", two)
	d.CreateFolder(t, ada, "Erledigt für heute.Älter")
	c := signIn(t, d)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	store := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{`\Seen`, "$Ferried"}}
	if err := c.Store(imap.UIDSetNum(1), store, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Move(imap.UIDSetNum(2), "Erledigt für heute.Älter").Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
	want := map[[32]byte][]string{sha256.Sum256(one): {"$Ferried", `\Seen`}}
	if got := d.Flags(t, ada, "INBOX"); !reflect.DeepEqual(got, want) {
		t.Errorf("Flags = %v, want %v", got, want)
	}
	if got := d.Stored(t, ada, "Erledigt für heute.Älter"); !reflect.DeepEqual(got, [][]byte{two}) {
		t.Errorf("the moved mail is %q", got)
	}
	if n := d.Count(t, ada, "INBOX"); n != 1 {
		t.Errorf("Count(INBOX) = %d, want 1", n)
	}
	if n := d.Count(t, ada, "Nowhere"); n != 0 {
		t.Errorf("Count(Nowhere) = %d, want 0", n)
	}
}

func TestResetUIDsGivesNewOnes(t *testing.T) {
	d := StartDovecot(t)
	d.AddUser(t, ada, password)
	raw := []byte("Subject: one\r\n\r\n1\r\n")
	d.Append(t, ada, "INBOX", raw)
	before, err := signIn(t, d).Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	d.ResetUIDs(t, ada, "INBOX")
	c := signIn(t, d)
	after, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if before.UIDValidity == after.UIDValidity {
		t.Errorf("UIDVALIDITY stayed %d", after.UIDValidity)
	}
	if got := fetchAll(t, c, "INBOX"); !reflect.DeepEqual(got, [][]byte{raw}) {
		t.Errorf("after the reset the folder holds %q", got)
	}
}

func TestEveryPortSignsIn(t *testing.T) {
	d := StartDovecot(t)
	d.AddUser(t, ada, "first")
	d.AddUser(t, ada, password)
	for _, tc := range []struct {
		name string
		dial func(addr string, o *imapclient.Options) (*imapclient.Client, error)
		addr string
	}{
		{"imap in the clear", imapclient.DialInsecure, d.IMAPAddr()},
		{"imap with STARTTLS", imapclient.DialStartTLS, d.IMAPAddr()},
		{"imaps", imapclient.DialTLS, d.IMAPSAddr()},
	} {
		c, err := tc.dial(tc.addr, &imapclient.Options{TLSConfig: d.CA.Client("localhost")})
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if err := c.Login(ada, password).Wait(); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		c.Close()
	}
	c, err := imapclient.DialInsecure(d.IMAPAddr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(ada, "first").Wait(); err == nil {
		t.Error("the old password still signs in")
	}

	for _, scheme := range []string{"pop3", "pop3 with STLS", "pop3s"} {
		if err := pop3SignIn(d, scheme); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// pop3SignIn speaks POP3 by hand: RFC 1939, STLS of RFC 2595 section 4.
func pop3SignIn(d *Dovecot, scheme string) error {
	var c net.Conn
	var err error
	if scheme == "pop3s" {
		c, err = tls.Dial("tcp", d.POP3SAddr(), d.CA.Client("127.0.0.1"))
	} else {
		c, err = net.Dial("tcp", d.POP3Addr())
	}
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	say := func(line string) error {
		if line != "" {
			fmt.Fprintf(c, "%s\r\n", line)
		}
		reply, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && !strings.HasPrefix(reply, "+OK") {
			err = fmt.Errorf("%q was answered %q", line, reply)
		}
		return err
	}
	if err := say(""); err != nil {
		return err
	}
	if scheme == "pop3 with STLS" {
		if err := say("STLS"); err != nil {
			return err
		}
		c = tls.Client(c, d.CA.Client("localhost"))
	}
	for _, line := range []string{"USER " + ada, "PASS " + password, "STAT", "QUIT"} {
		if err := say(line); err != nil {
			return err
		}
	}
	return nil
}

func TestAThousandMailsAreAppendedWithinASecond(t *testing.T) {
	d := StartDovecot(t)
	d.AddUser(t, ada, password)
	raw := bytes.Repeat([]byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n"), 64)
	start := time.Now()
	for range 1000 {
		d.Append(t, ada, "INBOX", raw)
	}
	t.Logf("1,000 mails of %d octets appended in %v", len(raw), time.Since(start))
	if n := d.Count(t, ada, "INBOX"); n != 1000 {
		t.Errorf("Count = %d, want 1000", n)
	}
	box, err := signIn(t, d).Select("INBOX", nil).Wait()
	if err != nil || box.NumMessages != 1000 {
		t.Errorf("IMAP sees %v mails (%v), want 1000", box, err)
	}
}

func TestExtraConfigurationIsObeyed(t *testing.T) {
	d := StartDovecot(t, "imap_capability = IMAP4rev1 IDLE")
	d.AddUser(t, ada, password)
	c := signIn(t, d)
	if caps := c.Caps(); caps.Has(imap.CapMove) || !caps.Has(imap.CapIdle) {
		t.Errorf("capabilities are %v, want IMAP4rev1 and IDLE alone", caps)
	}
}

func TestRestartKeepsPortsUsersAndMail(t *testing.T) {
	d := StartDovecot(t)
	d.AddUser(t, ada, password)
	raw := []byte("Subject: one\r\n\r\n1\r\n")
	d.Append(t, ada, "INBOX", raw)
	c := signIn(t, d)
	d.Stop()
	if err := c.Noop().Wait(); err == nil {
		t.Error("a session outlived the server")
	}
	if c, err := net.Dial("tcp", d.IMAPAddr()); err == nil {
		c.Close()
		t.Error("the port still answers")
	}
	d.Restart(t)
	if got := fetchAll(t, signIn(t, d), "INBOX"); !reflect.DeepEqual(got, [][]byte{raw}) {
		t.Errorf("after the restart the folder holds %q", got)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	var dir string
	var pid int
	t.Run("inner", func(t *testing.T) {
		start := time.Now()
		d := StartDovecot(t)
		t.Logf("started in %v", time.Since(start))
		d.AddUser(t, ada, password)
		signIn(t, d)
		dir, pid = d.dir, d.cmd.Process.Pid
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
	// A killed process may need a moment to be gone.
	left := ""
	for range 200 {
		if left = livingGroup(t, pid); left == "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("processes of the group still live: %s", left)
}

// livingGroup names the processes of a group that are not zombies.
func livingGroup(t *testing.T, pgid int) string {
	out, err := exec.Command("ps", "-e", "-o", "pgid=,stat=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) > 1 && f[0] == strconv.Itoa(pgid) && !strings.HasPrefix(f[1], "Z") {
			left = append(left, strings.TrimSpace(line))
		}
	}
	return strings.Join(left, "; ")
}
