package redis

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
)

// Options are the keys of a sink of type redis, beside those every sink has.
// Headers are further fields of an entry.
type Options struct {
	queue.Options
	URL      string        `config:"url,required" doc:"The server: redis://host:6379/0, rediss:// for TLS, or unix:///path/of/socket?db=0. A user and password in it sign in."`
	Insecure bool          `config:"insecure" doc:"true: talk in clear text to a redis:// url on another machine. To this machine itself it is always allowed."`
	Username string        `config:"username" doc:"Of the server's access control list; default unless set."`
	Password secret.Secret `config:"password" doc:"Its password."`
	TLS      config.TLS    `config:"tls" doc:"Whom to trust, and the client's certificate."`
	Stream   string        `config:"stream,raw,required" doc:"The stream's name. It may have holes, mail:{{ mailbox.name }} (docs/templates.md)."`
	MaxLen   int64         `config:"max_len" doc:"About how many entries the stream keeps: the oldest go, whether anybody has read them or not. Without it, all."`
	MaxAge   time.Duration `config:"max_age" doc:"About how old entries get before they go, whether anybody has read them or not."`
	Wait     Wait          `config:"wait" doc:"What else has to be true before a mail counts as delivered."`
}

// Wait says where an entry has to be besides in the server's memory.
type Wait struct {
	Replicas      int           `config:"replicas" doc:"On so many replicas, in memory (WAIT)."`
	Fsync         bool          `config:"fsync" doc:"true: on the server's disk (WAITAOF; Redis 7.2)."`
	FsyncReplicas int           `config:"fsync_replicas" doc:"On the disks of so many replicas (WAITAOF; Redis 7.2)."`
	Timeout       time.Duration `config:"timeout" doc:"How long that may take. What is not there then is delivered again, and is in the stream twice."`
}

// DefaultWaitTimeout is how long replicas and disks may take.
const DefaultWaitTimeout = 5 * time.Second

// SetDefaults sets what holds when the file says nothing.
func (w *Wait) SetDefaults() { w.Timeout = DefaultWaitTimeout }

func (w Wait) timeout() time.Duration {
	switch {
	case w.Replicas == 0 && !w.fsyncs():
		return 0
	case w.Timeout == 0:
		return DefaultWaitTimeout
	}
	return w.Timeout
}

func (w Wait) fsyncs() bool { return w.Fsync || w.FsyncReplicas > 0 }

// taken are the fields every entry has, or may have.
var taken = []string{"id", "body", "content-type"}

// Validate refuses options that contradict one another, and compiles what has holes.
func (o *Options) Validate() error {
	if err := o.Options.Validate(); err != nil {
		return err
	}
	if _, err := o.target(); err != nil {
		return err
	}
	if o.Stream == "" {
		return errors.New("stream is missing: the name of the stream to add to")
	}
	if _, err := payload.CompileText(o.Stream); err != nil {
		return config.At("stream", err)
	}
	switch {
	case o.MaxLen < 0:
		return config.At("max_len", errors.New("is negative"))
	case o.MaxAge < 0:
		return config.At("max_age", errors.New("is negative"))
	case o.MaxLen > 0 && o.MaxAge > 0:
		return config.At("max_age", errors.New("goes not with max_len: Redis trims by one of them"))
	case o.Wait.Replicas < 0 || o.Wait.FsyncReplicas < 0 || o.Wait.Timeout < 0:
		return config.At("wait", errors.New("has a negative number"))
	}
	return nil
}

// protocol is that of Redis, whose port is the same with TLS.
var protocol = queue.Protocol{Name: "redis", Port: "6379", SecurePort: "6379", Path: "/0"}

// target is a server and who signs in there.
type target struct {
	queue.Broker
	socket string // a path, in place of the broker's server
	db     int
}

// String names the server, without secrets.
func (t target) String() string {
	if t.socket != "" {
		return "unix://" + t.socket
	}
	return t.Broker.String()
}

// target reads the url. Its errors do not repeat it.
func (o *Options) target() (target, error) {
	at := func(text string) (target, error) { return target{}, config.At("url", errors.New(text)) }
	u, err := url.Parse(o.URL)
	if err != nil {
		return at("cannot be read: write redis://host:6379/0, rediss:// for TLS, or unix:///path/of/socket")
	}
	access := queue.Access{Insecure: o.Insecure, Username: o.Username, Password: o.Password, TLS: o.TLS}
	t, db := target{}, strings.Trim(u.Path, "/")
	if u.Scheme == "unix" {
		if u.Path == "" || u.Host != "" {
			return at("wants an absolute path: unix:///run/redis/redis.sock")
		}
		if o.TLS.Names() {
			return at("is a Unix socket, where there is no TLS: take tls out")
		}
		t.socket, db = u.Path, ""
		access, err = access.With(u)
		t.Username, t.Password = access.Username, access.Password
	} else {
		t.Broker, err = protocol.Broker(u, access)
	}
	if err != nil {
		return target{}, err
	}
	q := u.Query()
	if q.Has("db") {
		db = q.Get("db")
		q.Del("db")
	}
	if len(q) > 0 {
		return at("has parameters that are not known: only db may stand after the question mark")
	}
	if db != "" {
		if t.db, err = strconv.Atoi(db); err != nil || t.db < 0 {
			return at("has a database that is no number: write redis://host:6379/0")
		}
	}
	return t, nil
}
