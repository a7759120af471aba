package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	maxAnswer = 16 << 20         // octets a command reads from the socket
	askTime   = 30 * time.Second // that one question may take
)

// ErrNotRunning means that no service answers on the socket.
var ErrNotRunning = errors.New("no postferry is running on this store")

// AskStatus asks the service behind the socket; ErrNotRunning when there is none.
func AskStatus(ctx context.Context, path string) (Status, error) {
	var s Status
	err := ask(ctx, path, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// Follow calls each for every event from now on until ctx ends, each fails or
// the service stops, which gives nil.
func Follow(ctx context.Context, path string, each func(Event) error) error {
	resp, err := request(ctx, path, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue // the service shows that it is there
		}
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("reading an event: %w", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("reading the events: %w", err)
	}
	return nil
}

// ask puts one question. body, if not nil, is sent as JSON; the answer is
// decoded into the value given.
func ask(ctx context.Context, path, method, route string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	resp, err := request(ctx, path, method, route, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the service's answer: %w", err)
	}
	return json.Unmarshal(said, into)
}

// request gives the answer to a request, if it is 200.
func request(ctx context.Context, path, method, route string, body any) (*http.Response, error) {
	resp, err := send(ctx, path, method, route, body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		resp.Body.Close()
		return nil, fmt.Errorf("the running service answers %s: %s", resp.Status, bytes.TrimSpace(said))
	}
	return resp, nil
}

// send gives the answer to a request, whatever it is. body, if not nil, is sent as
// JSON.
func send(ctx context.Context, path, method, route string, body any) (*http.Response, error) {
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(b)
	}
	return sendBody(ctx, path, method, route, sent)
}

func sendBody(ctx context.Context, path, method, route string, sent io.Reader) (*http.Response, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dialUnix(ctx, path) },
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://postferry"+route, sent)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("asking the running service: %w", err)
	}
	return resp, nil
}

func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	name, release, err := shortSocket(path)
	if err != nil {
		return nil, err
	}
	defer release()
	return (&net.Dialer{}).DialContext(ctx, "unix", name)
}
