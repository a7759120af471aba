package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/postferry/postferry/internal/dial"
)

// connectTimeout bounds name, connection and TLS.
const connectTimeout = 10 * time.Second

// session is a client on one connection that is there already. go-redis would make
// others by itself, in the background and without jitter: a session that has lost
// its connection is at its end.
type session struct {
	client *redis.Client
	conn   net.Conn
}

// errLost is what go-redis gets that wants another connection.
var errLost = errors.New("the connection was lost")

// connect connects, signs in, and asks whether the server takes commands.
func (s *Sink) connect(ctx context.Context) (*session, error) {
	limited, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := s.target.dial(limited)
	if err != nil {
		return nil, err
	}
	c := s.client(conn)
	stop := context.AfterFunc(limited, func() { conn.Close() })
	err = s.greet(limited, c)
	if !stop() {
		err = fmt.Errorf("the server does not answer: %w", context.Cause(limited))
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// greet asks whether the server takes commands, and how long a value may be where
// it lets itself be asked.
func (s *Sink) greet(ctx context.Context, c *session) error {
	if err := c.client.Ping(ctx).Err(); err != nil {
		return err
	}
	n := int64(usualLimit)
	if said, err := c.client.ConfigGet(ctx, "proto-max-bulk-len").Result(); err == nil {
		if told, err := strconv.ParseInt(said["proto-max-bulk-len"], 10, 64); err == nil && told > 0 {
			n = told
		}
	}
	s.limit.Store(n)
	return nil
}

// silent is where the library's own log goes: what it says there is in its errors,
// or is about connections it is not to make.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

var silence = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

func (s *Sink) client(conn net.Conn) *session {
	silence()
	var used atomic.Bool
	return &session{conn: conn, client: redis.NewClient(&redis.Options{
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			if used.Swap(true) {
				return nil, errLost
			}
			return conn, nil
		},
		Username: s.target.Username, Password: s.target.Password.Reveal(), DB: s.target.db,
		Protocol: 2, DisableIdentity: true,
		MaxRetries: -1, DialerRetries: 1, // what was sent is sent again by the dispatcher alone
		PoolSize: 2, MaxActiveConns: 1, PipelinePoolSize: -1,
		ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1,
		ReadBufferSize: 16 << 10, WriteBufferSize: 64 << 10,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})}
}

// close closes the connection first, so that nothing waits for an answer.
func (c *session) close() {
	c.conn.Close()
	c.client.Close()
}

// dial connects to the server.
func (t target) dial(ctx context.Context) (net.Conn, error) {
	if t.socket != "" {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", t.socket)
		if err != nil {
			return nil, &dial.Error{Stage: "socket", Err: err, Hint: "check the path in url, its permissions, and that the server listens there (unixsocket)"}
		}
		return conn, nil
	}
	conn, err := t.Dial(ctx, connectTimeout, dial.DefaultWrite)
	if err != nil {
		return nil, err // conn is a nil pointer, and would be a connection
	}
	return conn, nil
}

// confirmation is what was asked of the server beyond its own answer, for all that
// a pipeline has added.
type confirmation struct {
	replicas *redis.IntCmd
	fsynced  *redis.IntSliceCmd
}

func (c *confirmation) ask(ctx context.Context, pipe redis.Pipeliner, w Wait) {
	if w.Replicas > 0 {
		c.replicas = redis.NewIntCmd(ctx, "wait", w.Replicas, w.timeout().Milliseconds())
		pipe.Process(ctx, c.replicas) // queued: its error is the command's
	}
	if w.fsyncs() {
		local := 0
		if w.Fsync {
			local = 1
		}
		c.fsynced = redis.NewIntSliceCmd(ctx, "waitaof", local, w.FsyncReplicas, w.timeout().Milliseconds())
		pipe.Process(ctx, c.fsynced)
	}
}

// of is the receipt for an entry, or the error that it is not as safe as wanted.
func (c *confirmation) of(id string, w Wait) (detail string, err error) {
	detail = id
	if c.replicas != nil {
		n, err := c.replicas.Result()
		if err != nil {
			return "", err
		}
		if n < int64(w.Replicas) {
			return "", &unconfirmedError{fmt.Sprintf("entry %s is on %d replicas after %s, and wait.replicas wants %d", id, n, w.timeout(), w.Replicas)}
		}
		detail += fmt.Sprintf(", on %d replicas", n)
	}
	if c.fsynced == nil {
		return detail, nil
	}
	n, err := c.fsynced.Result()
	switch {
	case err != nil:
		return "", err
	case len(n) != 2:
		return "", errors.New("the answer to WAITAOF cannot be understood")
	case w.Fsync && n[0] < 1:
		return "", &unconfirmedError{fmt.Sprintf("entry %s is not on the server's disk after %s", id, w.timeout())}
	case n[1] < int64(w.FsyncReplicas):
		return "", &unconfirmedError{fmt.Sprintf("entry %s is on the disks of %d replicas after %s, and wait.fsync_replicas wants %d", id, n[1], w.timeout(), w.FsyncReplicas)}
	}
	return detail + fmt.Sprintf(", fsynced here %d and on %d replicas", n[0], n[1]), nil
}

// unconfirmedError says that an entry was added and is not where it should be.
type unconfirmedError struct{ text string }

func (e *unconfirmedError) Error() string { return e.text }
