package redis

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

// scripted is a server that answers each command as it is told, in the protocol of
// Redis (RESP 2). What it is not told it answers with OK, but knows no HELLO.
func scripted(t *testing.T, answers map[string]string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	t.Cleanup(func() { ln.Close(); work.Wait() })
	work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					words, err := command(r)
					if err != nil {
						return
					}
					name := strings.ToUpper(words[0])
					answer, told := answers[name]
					switch {
					case told:
					case name == "HELLO", name == "CONFIG":
						answer = "-ERR unknown command '" + name + "'"
					default:
						answer = "+OK"
					}
					io.WriteString(c, answer+"\r\n")
				}
			})
		}
	})
	return ln.Addr().String()
}

// command reads an array of bulk strings.
func command(r *bufio.Reader) (words []string, err error) {
	number := func(kind byte) (int, error) {
		line, err := r.ReadString('\n')
		if err != nil || line[0] != kind {
			return 0, io.ErrUnexpectedEOF
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := number('*')
	for range n {
		size, err := number('$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		words = append(words, string(b[:size]))
	}
	return words, err
}

func TestWhoseFaultAnAnswerIs(t *testing.T) {
	for _, c := range []struct {
		answer string
		fault  string // sink, mail, dead or nobody
		says   string
	}{
		// The texts are those of the server's source, redis 7.2 src/server.c.
		{"-NOAUTH Authentication required.", "sink", "set username and password"},
		{"-NOPERM User ferry has no permissions to run the 'xadd' command", "sink", "+xadd"},
		{"-READONLY You can't write against a read only replica.", "sink", "name the primary"},
		{"-OOM command not allowed when used memory > 'maxmemory'.", "sink", "memory is full"},
		{"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "sink", "its log"},
		{"-LOADING Redis is loading the dataset in memory", "sink", "by itself"},
		{"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "sink", "primary"},
		{"-CLUSTERDOWN The cluster is down", "sink", "CLUSTER INFO"},
		{"-MOVED 3999 127.0.0.1:6381", "sink", "name that one in url"},
		{"-NOREPLICAS Not enough good replicas to write.", "sink", "min-replicas-to-write"},
		{"-ERR unknown command 'XADD', with args beginning with: 'mail' ", "sink", "Redis 5"},
		{"-ERR max number of clients reached", "sink", "maxclients"},
		{"-WRONGTYPE Operation against a key holding the wrong kind of value", "sink", "another stream"},
		{"-ERR Protocol error: invalid bulk length", "dead", "proto-max-bulk-len"},
		{"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "nobody", "BUSY"},
		{"-TRYAGAIN Multiple keys request during rehashing of slot", "nobody", "TRYAGAIN"},
		{"-ERR something nobody has heard of", "nobody", "heard of"},
		{"?what is this", "nobody", ""},
	} {
		s := makeSink(t, Options{URL: "redis://" + scripted(t, map[string]string{"XADD": c.answer}), Stream: "mail"})
		_, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail))
		got := "nobody"
		switch {
		case sinks.IsPermanent(err):
			got = "dead"
		case sinks.IsSinkFault(err):
			got = "sink"
		case sinks.IsMailFault(err):
			got = "mail"
		}
		if err == nil || got != c.fault || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: fault of %s, %v", c.answer, got, err)
		}
	}
}

func TestAKeyTheMailNamesAndIsNoStreamIsTheMailsFault(t *testing.T) {
	s := makeSink(t, Options{URL: "redis://" + scripted(t, map[string]string{"XADD": "-WRONGTYPE Operation against a key holding the wrong kind of value"}), Stream: "mail:{{ message.subject }}"})
	if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail)); !sinks.IsMailFault(err) {
		t.Errorf("the error is %v", err)
	}
}

func TestWaitIsPartOfTheAcknowledgement(t *testing.T) {
	const id = "$15\r\n1764000000000-0"
	for _, c := range []struct {
		name    string
		wait    Wait
		answers map[string]string
		says    string // a receipt, or an error that is the sink's
	}{
		{"on a replica", Wait{Replicas: 1}, map[string]string{"WAIT": ":1"}, "1764000000000-0, on 1 replicas"},
		{"on none", Wait{Replicas: 1}, map[string]string{"WAIT": ":0"}, "on 0 replicas after 5s, and wait.replicas wants 1"},
		{"on this disk", Wait{Fsync: true}, map[string]string{"WAITAOF": "*2\r\n:1\r\n:0"}, "fsynced here 1 and on 0 replicas"},
		{"not on this disk", Wait{Fsync: true}, map[string]string{"WAITAOF": "*2\r\n:0\r\n:1"}, "not on the server's disk"},
		{"on two other disks", Wait{Fsync: true, FsyncReplicas: 2}, map[string]string{"WAITAOF": "*2\r\n:1\r\n:2"}, "fsynced here 1 and on 2 replicas"},
		{"on one other disk", Wait{FsyncReplicas: 2}, map[string]string{"WAITAOF": "*2\r\n:1\r\n:1"}, "on the disks of 1 replicas"},
		{"before Redis 7.2", Wait{Fsync: true}, map[string]string{"WAITAOF": "-ERR unknown command 'waitaof', with args beginning with: '1' '0' '5000' "}, "needs Redis 7.2"},
		{"without a log of writes", Wait{Fsync: true}, map[string]string{"WAITAOF": "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."}, "appendonly yes"},
		{"all at once", Wait{Replicas: 2, Fsync: true}, map[string]string{"WAIT": ":2", "WAITAOF": "*2\r\n:1\r\n:2"}, "on 2 replicas, fsynced here 1"},
	} {
		c.answers["XADD"] = id
		s := makeSink(t, Options{URL: "redis://" + scripted(t, c.answers), Stream: "mail", Wait: c.wait})
		receipt, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail))
		said := receipt.Detail
		if err != nil {
			said = err.Error()
			if !sinks.IsSinkFault(err) {
				t.Errorf("%s: it is nobody's fault: %v", c.name, err)
			}
		}
		if !strings.Contains(said, c.says) {
			t.Errorf("%s: %s", c.name, said)
		}
	}
}

func TestARealReplicaCountsAndTakesNoMail(t *testing.T) {
	primary := mailtest.StartRedis(t, "repl-diskless-sync-delay 0")
	_, port, _ := net.SplitHostPort(primary.Addr)
	replica := mailtest.StartRedis(t, "replicaof 127.0.0.1 "+port, "repl-ping-replica-period 1")
	c := client(t, primary.Addr)
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(c.Info(t.Context(), "replication").Val(), "state=online"); {
		if time.Now().After(deadline) {
			t.Fatal("the replica does not come")
		}
		time.Sleep(10 * time.Millisecond)
	}
	o := options(primary.Addr)
	o.Wait = Wait{Replicas: 1}
	s := makeSink(t, o)
	receipt, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail))
	if err != nil || !strings.HasSuffix(receipt.Detail, "on 1 replicas") {
		t.Errorf("%+v, %v", receipt, err)
	}
	_, err = makeSink(t, options(replica.Addr)).Deliver(t.Context(), sinktest.Delivery(t, 2, sinktest.Mail))
	if !sinks.IsSinkFault(err) || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("the replica: %v", err)
	}
	replica.Kill()
	o.Wait.Timeout = time.Millisecond
	_, err = makeSink(t, o).Deliver(t.Context(), sinktest.Delivery(t, 3, sinktest.Mail))
	if !sinks.IsSinkFault(err) || !strings.Contains(err.Error(), "bring the replicas back") {
		t.Errorf("without the replica: %v", err)
	}
}

func TestWhoMayNotSignInIsTheSinksFaultAndNoSecretIsTold(t *testing.T) {
	server := mailtest.StartRedis(t, "user reader on >readers-password ~* +ping +xrange")
	for name, c := range map[string]struct{ url, says string }{
		"another password": {"redis://ferry:another-password@" + server.Addr, "WRONGPASS"},
		"nobody's name":    {"redis://nobody:another-password@" + server.Addr, "WRONGPASS"},
		"may not write":    {"redis://reader:readers-password@" + server.Addr, "NOPERM"},
		"not trusted":      {"rediss://" + server.TLSAddr, "tls.ca_file"},
		"no such socket":   {"unix:///nowhere/socket", "unixsocket"},
		"nobody there":     {"redis://127.0.0.1:1", "check the port in url"},
		"no such database": {"redis://" + server.Addr + "/99", "DB index"},
	} {
		o := options(server.Addr)
		o.URL = c.url
		_, err := makeSink(t, o).Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail))
		if !sinks.IsSinkFault(err) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "another-password") || strings.Contains(err.Error(), "readers-password") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestALostAnswerIsNoAcknowledgement(t *testing.T) {
	server := mailtest.StartRedis(t)
	gate := mailtest.NewGate(t, server.Addr)
	s := makeSink(t, options(gate.Addr))
	if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail)); err != nil {
		t.Fatal(err)
	}
	gate.CutAnswer()
	_, err := s.Deliver(t.Context(), sinktest.Delivery(t, 2, sinktest.Mail))
	if err == nil || sinks.IsSinkFault(err) || sinks.IsPermanent(err) || sinks.IsMailFault(err) {
		t.Errorf("the error is %v", err)
	}
	if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 2, sinktest.Mail)); err != nil {
		t.Errorf("again: %v", err)
	}
	count := map[any]int{}
	for _, e := range entries(t, client(t, server.Addr), "mail") {
		count[e.Values["id"]]++
	}
	if count[sinktest.ID(1)] != 1 || count[sinktest.ID(2)] != 2 {
		t.Errorf("%v", count)
	}
}

func TestABodyTheServerDoesNotTakeIsADeadLetter(t *testing.T) {
	server := mailtest.StartRedis(t, "proto-max-bulk-len 1mb")
	large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 80_000)
	for name, size := range map[string]config.Size{"by its own answer": 0, "as configured": 1 << 20} {
		o := options(server.Addr)
		o.MaxSize = size
		r, err := payload.NewRenderer("raw", payload.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New("stream", o, r, sinks.Env{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, err = s.Deliver(t.Context(), sinktest.Delivery(t, 1, large))
		if !sinks.IsPermanent(err) || !strings.Contains(err.Error(), "octets, and the broker takes 1048576") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err = s.Deliver(t.Context(), sinktest.Delivery(t, 2, sinktest.Mail)); err != nil {
			t.Errorf("%s, the next: %v", name, err)
		}
	}
}

func TestNothingIsLostWhenRedisIsKilled(t *testing.T) {
	server := mailtest.StartRedis(t)
	sinktest.Load{
		Sink: makeSink(t, options(server.Addr)), Hurt: func() { server.Kill() }, Back: server.Restart,
		Stored: func() map[string]int {
			all := map[string]int{}
			for _, e := range entries(t, client(t, server.Addr), "mail") {
				all[fmt.Sprint(e.Values["id"])]++
			}
			return all
		},
	}.Run(t)
}

func TestACheckSaysWhatAnAcknowledgementIsWorth(t *testing.T) {
	server := mailtest.StartRedis(t)
	c := client(t, server.Addr)
	s := makeSink(t, options(server.Addr))
	durability := func() string {
		t.Helper()
		for _, f := range s.Check(t.Context()) {
			if f.Step == "durability" {
				return f.Said
			}
		}
		return ""
	}
	for _, step := range []struct{ set, to, says string }{
		{"appendfsync", "always", "on its disk"}, {"appendfsync", "everysec", "a second later"}, {"appendonly", "no", "is lost"},
	} {
		c.ConfigSet(t.Context(), step.set, step.to)
		if said := durability(); !strings.Contains(said, step.says) {
			t.Errorf("%s %s: %q", step.set, step.to, said)
		}
	}
	c.Set(t.Context(), "mail", "a string", 0)
	if f := s.Check(t.Context()); len(f) != 3 || f[1].OK || !strings.Contains(f[1].Said, "no stream but a string") {
		t.Errorf("%+v", f)
	}
}

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		says   string
	}{
		{func(o *Options) { o.Stream = "" }, "stream is missing"},
		{func(o *Options) { o.Stream = "{{ mesage.subject }}" }, "unknown name"},
		{func(o *Options) { o.URL = "redis://redis.example.com" }, "clear text"},
		{func(o *Options) { o.URL = "http://127.0.0.1" }, "must be redis://"},
		{func(o *Options) { o.URL = "redis:///0" }, "no host"},
		{func(o *Options) { o.URL = "redis://127.0.0.1/mail" }, "no number"},
		{func(o *Options) { o.URL = "redis://127.0.0.1/0?skip_verify=true" }, "only db"},
		{func(o *Options) { o.URL = "unix://socket" }, "absolute path"},
		{func(o *Options) { o.Username = "u"; o.URL = "redis://u:p@127.0.0.1" }, "keep one"},
		{func(o *Options) { o.Headers = map[string]string{"body": "x"} }, "set by postferry itself"},
		{func(o *Options) { o.Headers = map[string]string{"x": "{{"} }, "has no"},
		{func(o *Options) { o.MaxLen, o.MaxAge = 1, 1 }, "trims by one"},
		{func(o *Options) { o.MaxLen = -1 }, "negative"},
		{func(o *Options) { o.Wait.Replicas = -1 }, "negative"},
	} {
		o := Options{URL: "redis://127.0.0.1", Stream: "mail"}
		c.change(&o)
		if _, err := New("stream", o, payload.Renderer{}, sinks.Env{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestWhatAMailGivesForAStreamIsBounded(t *testing.T) {
	s := makeSink(t, Options{URL: "redis://127.0.0.1:1", Stream: "{{ message.subject }}"})
	for _, subject := range []string{"", strings.Repeat("x", 513)} {
		d := sinktest.Delivery(t, 1, "\r\nx")
		d.Message.Subject = &subject
		if _, _, err := s.entry(d); !sinks.IsPermanent(err) {
			t.Errorf("%d octets: %v", len(subject), err)
		}
	}
}
