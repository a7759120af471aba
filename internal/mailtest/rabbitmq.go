package mailtest

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// RabbitMQ is a running RabbitMQ that belongs to one test, with no plugins. Its user
// is RabbitUser with RabbitPassword, who may do everything in the virtual host /.
type RabbitMQ struct {
	Addr, TLSAddr string // 127.0.0.1:port, in plain text and TLS
	CAFile        string // the authority of its certificate, which is for localhost and 127.0.0.1
	*Proc

	t      testing.TB
	dir    string
	node   string
	cookie string
	env    []string
	binary string

	asking    sync.Mutex
	console   *Proc
	questions io.Writer
	asked     int
}

// RabbitUser and RabbitPassword are of the user who may do everything.
const (
	RabbitUser     = "ferry"
	RabbitPassword = "a-password-of-rabbitmq"
)

// rabbitHome is where Debian has the server's own scripts, which unlike those in
// /usr/sbin do not become another user.
const rabbitHome = "/usr/lib/rabbitmq/lib"

// StartRabbitMQ starts a RabbitMQ and ends it when the test does, with the name
// server of Erlang (epmd) that it has for itself. It costs some seconds of processor
// time: tests share one where they can. A missing RabbitMQ fails the test.
func StartRabbitMQ(t testing.TB) *RabbitMQ {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(rabbitHome, "rabbitmq_server-*", "sbin", "rabbitmq-server"))
	if len(found) == 0 {
		t.Fatal("RabbitMQ is not installed, and the tests use the real one; run `make deps`, or: apt-get install -y --no-install-recommends rabbitmq-server")
	}
	dir, ca := brokerFolder(t)
	ports, err := freePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	r := &RabbitMQ{
		Addr: loopback(ports[0]), TLSAddr: loopback(ports[1]), CAFile: filepath.Join(dir, "ca.pem"),
		t: t, dir: dir, node: fmt.Sprintf("postferry%d@localhost", ports[0]), cookie: rand.Text(), binary: found[0],
	}
	// In Erlang's own terms, which the server reads sooner than its other format.
	config := fmt.Sprintf(`[{rabbit, [
	{tcp_listeners, [{"127.0.0.1", %d}]}, {ssl_listeners, [{"127.0.0.1", %d}]},
	{ssl_options, [{cacertfile, "%[3]s/ca.pem"}, {certfile, "%[3]s/cert.pem"}, {keyfile, "%[3]s/key.pem"}, {verify, verify_none}]},
	{default_user, <<"%s">>}, {default_pass, <<"%s">>}, {loopback_users, []}, {disk_free_limit, 1000000},
	{log, [{console, [{enabled, true}, {level, warning}]}, {file, [{file, false}]}]}
]}, {kernel, [{inet_dist_use_interface, {127, 0, 0, 1}}]}].
`, ports[0], ports[1], dir, RabbitUser, RabbitPassword)
	err = writeFiles(dir, ca, "rabbitmq.config", config)
	for name, text := range map[string]string{
		"plugins": "[].\n", ".erlang.cookie": r.cookie, "inetrc": "{lookup, [file]}.\n{host, {127,0,0,1}, [\"localhost\"]}.\n",
	} {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o400)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	r.env = []string{
		"HOME=" + dir, "ERL_EPMD_PORT=" + fmt.Sprint(ports[2]), "ERL_EPMD_ADDRESS=127.0.0.1", "ERL_INETRC=" + filepath.Join(dir, "inetrc"),
		"RABBITMQ_NODENAME=" + r.node, "RABBITMQ_DIST_PORT=" + fmt.Sprint(ports[3]), "RABBITMQ_CONF_ENV_FILE=" + filepath.Join(dir, "none"),
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.config"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"),
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "mnesia"), "RABBITMQ_LOG_BASE=" + filepath.Join(dir, "log"), "RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"),
		"RABBITMQ_FEATURE_FLAGS_FILE=" + filepath.Join(dir, "flags"), "RABBITMQ_PLUGINS_EXPAND_DIR=" + filepath.Join(dir, "expand"),
		"RABBITMQ_GENERATED_CONFIG_DIR=" + filepath.Join(dir, "generated"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 2:2 +sbwt none +A 8",
		"ERL_ZFLAGS=-start_epmd false", // of no Erlang that is started here
	}
	// Started by an Erlang itself it would outlive it.
	epmd := StartProc(t, Command{Path: brokerBinary(t, "erlang-base", "epmd"), Args: []string{"-port", fmt.Sprint(ports[2]), "-address", "127.0.0.1"}, Env: r.env})
	epmd.awaitReady(t, func() error { return listening(loopback(ports[2])) })
	r.Launch()
	return r
}

// Launch starts the server that was killed or stopped, on what it has on disk and on
// the same ports.
func (r *RabbitMQ) Launch() {
	r.t.Helper()
	r.Proc = StartProc(r.t, Command{Path: r.binary, Env: r.env, Dir: r.dir})
	r.awaitReady(r.t, func() error {
		// The server greets a client that begins AMQP 0-9-1 (its section 4.2.2).
		_, err := octetsOf(r.Addr, "AMQP\x00\x00\x09\x01", 8)
		return err
	})
}

// Eval has the server evaluate an expression of Erlang, which is to give ok. It may
// be called by several at once.
func (r *RabbitMQ) Eval(expression string) {
	r.t.Helper()
	r.asking.Lock()
	defer r.asking.Unlock()
	if r.questions == nil {
		r.startConsole()
	}
	r.asked++
	if _, err := fmt.Fprintf(r.questions, "%s.\n", expression); err != nil {
		r.t.Fatal(err)
	}
	r.console.Stdout.Await(r.t, fmt.Sprintf("\nend of answer %d\n", r.asked))
	if out := r.console.Stdout.String(); !strings.Contains(out, fmt.Sprintf("answer %d: {value,ok,", r.asked)) {
		r.t.Fatalf("%s: %s, %s", expression, tail(out, 4000), r.console.Stderr)
	}
}

// startConsole starts an Erlang that passes on to the server what Eval asks.
func (r *RabbitMQ) startConsole() {
	r.t.Helper()
	loop := fmt.Sprintf(`F = fun(F, N) -> case io:get_line("") of
		eof -> halt();
		L -> {ok, T, _} = erl_scan:string(L), {ok, E} = erl_parse:parse_exprs(T),
			io:format("answer ~b: ~0p~nend of answer ~b~n", [N, rpc:call('%s', erl_eval, exprs, [E, []]), N]), F(F, N + 1)
	end end, F(F, 1).`, r.node)
	in, questions := io.Pipe()
	r.questions = questions
	r.console = StartProc(r.t, Command{
		Path: brokerBinary(r.t, "erlang-base", "erl"), Env: r.env, Stdin: in,
		Args: []string{"-noshell", "-hidden", "-sname", fmt.Sprintf("console%d@localhost", os.Getpid()), "-setcookie", r.cookie, "-eval", loop},
	})
	r.t.Cleanup(func() { questions.Close() })
}

// SetDiskFreeLimit sets how much of the disk has to be free: with more than there is
// the server takes no messages (an alarm), until it is lowered again.
func (r *RabbitMQ) SetDiskFreeLimit(octets int64) {
	r.t.Helper()
	r.Eval(fmt.Sprintf("rabbit_disk_monitor:set_disk_free_limit(%d)", octets))
}
