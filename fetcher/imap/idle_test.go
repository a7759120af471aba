package imap_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/fetcher/imap"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/secret"
)

// idleServer names the folder with the certificate of the server that this
// program is in place of the tests; a server in the same process would be part
// of what is measured.
const idleServer = "POSTFERRY_TEST_IDLE_SERVER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(idleServer); dir != "" {
		serveIdle(dir)
		return
	}
	os.Exit(m.Run())
}

// serveIdle lets every client sign in and wait. It prints its two ports, and ends
// with its standard input.
func serveIdle(dir string) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		panic(err)
	}
	var ports []any
	for _, config := range []*tls.Config{nil, {Certificates: []tls.Certificate{cert}}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if config != nil {
					c = tls.Server(c, config)
				}
				go sayIdle(c)
			}
		}()
	}
	fmt.Println(ports...)
	io.Copy(io.Discard, os.Stdin)
}

func sayIdle(c net.Conn) {
	defer c.Close()
	answers := map[string]string{
		"CAPABILITY": "* CAPABILITY IMAP4rev1 IDLE\r\n", "SELECT": "* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n",
	}
	fmt.Fprint(c, "* OK ready\r\n")
	tag := ""
	for lines := bufio.NewScanner(c); lines.Scan(); {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 1: // DONE
			fmt.Fprintf(c, "%s OK\r\n", tag)
		case words[1] == "IDLE":
			tag = words[0]
			fmt.Fprint(c, "+ idling\r\n")
		default:
			fmt.Fprintf(c, "%s%s OK\r\n", answers[words[1]], words[0])
		}
	}
}

func startIdleServer(b *testing.B) (plain, secure string, caFile string) {
	b.Helper()
	ca, err := localca.New()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	for name, text := range map[string][]byte{"ca.pem": ca.PEM, "cert.pem": ca.CertPEM, "key.pem": ca.KeyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), idleServer+"="+dir)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	if _, err := fmt.Fscan(out, &plain, &secure); err != nil {
		b.Fatal(err)
	}
	return plain, secure, filepath.Join(dir, "ca.pem")
}

// BenchmarkIdle opens 500 sessions that wait, with this package and with
// imapclient alone, in turns, and reports the memory of each: the median of the
// rounds, heap and stacks.
func BenchmarkIdle(b *testing.B) {
	const sessions = 500
	plain, secure, ca := startIdleServer(b)
	for _, way := range []struct {
		name, port string
		mode       dial.Mode
	}{{"plain", plain, dial.Plain}, {"TLS", secure, dial.Implicit}} {
		b.Run(way.name, func(b *testing.B) {
			trust := dial.TLS{CAFile: ca}
			config, err := trust.Config("127.0.0.1")
			if err != nil {
				b.Fatal(err)
			}
			if way.mode == dial.Plain {
				config = nil
			}
			s := newSource(b, imap.Options{
				Server: dial.Server{Scheme: "imap", Host: "127.0.0.1", Port: way.port, Mode: way.mode}, TLS: trust,
				Username: ada, Password: secret.New(password),
			})
			startOurs := func() func() { return waitOurs(b, s) }
			startTheirs := func() func() { return waitTheirs(b, "127.0.0.1:"+way.port, config) }
			// What the first sessions leave behind in the process would be counted for
			// whoever comes first.
			measure(sessions, startOurs)
			measure(sessions, startTheirs)
			var ours, theirs []memory
			for b.Loop() {
				ours = append(ours, measure(sessions, startOurs))
				theirs = append(theirs, measure(sessions, startTheirs))
			}
			our, their := median(ours), median(theirs)
			const each = sessions * 1024
			b.ReportMetric(float64(our.heap+our.stacks)/each, "KB/session")
			b.ReportMetric(float64(our.stacks)/each, "stacks-KB/session")
			b.ReportMetric(float64(their.heap+their.stacks)/each, "imapclient-KB/session")
			b.ReportMetric(float64(their.stacks)/each, "imapclient-stacks-KB/session")
			b.ReportMetric(float64(our.heap+our.stacks)/float64(their.heap+their.stacks), "ratio")
		})
	}
}

// memory is what sessions hold, in octets.
type memory struct{ heap, stacks int64 }

// median is the round of middling size.
func median(rounds []memory) memory {
	slices.SortFunc(rounds, func(a, b memory) int { return cmp.Compare(a.heap+a.stacks, b.heap+b.stacks) })
	return rounds[len(rounds)/2]
}

// measure is the memory of n sessions together, when nothing else runs.
func measure(n int, start func() (stop func())) memory {
	goroutines := runtime.NumGoroutine()
	before := inUse()
	var stops []func()
	for range n {
		stops = append(stops, start())
	}
	after := inUse()
	var wg sync.WaitGroup
	for _, stop := range stops {
		wg.Go(stop)
	}
	wg.Wait()
	for runtime.NumGoroutine() > goroutines {
		runtime.Gosched()
	}
	return memory{after.heap - before.heap, after.stacks - before.stacks}
}

func inUse() memory {
	for range 5 {
		runtime.GC() // each frees more of the stacks that are not used
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{int64(m.HeapAlloc), int64(m.StackInuse)}
}

func waitOurs(b *testing.B, s *imap.Source) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	x, err := s.Open(ctx)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := x.List(ctx, "INBOX", ""); err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = x.(fetcher.Watcher).Wait(ctx, "INBOX") // ends with ctx
	}()
	return func() { cancel(); <-ended; x.Close() }
}

func waitTheirs(b *testing.B, addr string, config *tls.Config) (stop func()) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	if config != nil {
		conn = tls.Client(conn, config)
	}
	c := imapclient.New(conn, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(*imapclient.UnilateralDataMailbox) {},
	}})
	if err := c.Login(ada, password).Wait(); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // as with waitOurs, one goroutine of the program asks and waits
		defer close(ended)
		if idle, err := c.Idle(); err == nil {
			_ = idle.Wait() // ends with the connection
		}
	}()
	return func() { c.Close(); <-ended }
}
