package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

// lines appends one line for each mail.
type lines struct {
	render payload.Renderer
	path   string // "" for standard output
	name   string // how messages call it

	mu   sync.Mutex // guards the following and keeps lines whole
	file *os.File
	torn bool    // the file does not end in a newline
	sync *syncer // of the open file; nil if it is one that cannot be synced
}

func newLines(path string, r payload.Renderer) (*lines, error) {
	l := &lines{render: r, path: path, name: path}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

// open opens the file and looks at how it ends: a crash may have left half a
// line, which the next one must not continue.
func (l *lines) open() error {
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		f, err = os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND, 0) // a pipe or a device
	}
	if err != nil {
		return fmt.Errorf("opening the file of the sink: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		l.torn, err = isTorn(f, info.Size())
		if err == nil && info.Size() == 0 {
			err = syncDir(filepath.Dir(l.path)) // the name may be new
		}
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("opening the file of the sink: %w", err)
	}
	l.file, l.sync = f, nil
	if info.Mode().IsRegular() {
		l.sync = newSyncer(f)
	}
	return nil
}

func isTorn(f *os.File, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], size-1); err != nil {
		return false, err
	}
	return last[0] != '\n', nil
}

// Deliver implements sinks.Sink.
func (l *lines) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	if ctx.Err() != nil {
		return sinks.Receipt{}, aborted(ctx)
	}
	line, release, err := l.line(d)
	if err != nil {
		return sinks.Receipt{}, err
	}
	defer release()
	onDisk, err := l.append(line)
	if err == nil {
		err = onDisk()
	}
	if err != nil {
		return sinks.Receipt{}, fmt.Errorf("appending to %s: %w", l.name, err)
	}
	return sinks.Receipt{Detail: fmt.Sprintf("%d octets", len(line))}, nil
}

// line is the mail in one line, with its newline.
func (l *lines) line(d *sinks.Delivery) (line []byte, release func(), err error) {
	body, err := l.render.Render(d)
	if err != nil {
		return nil, nil, err
	}
	line, err = body.ReadAll()
	if err != nil {
		body.Release()
		return nil, nil, fmt.Errorf("reading the mail from the store: %w", err)
	}
	if bytes.IndexByte(line, '\n') >= 0 {
		var compact bytes.Buffer
		if err := json.Compact(&compact, line); err != nil {
			body.Release()
			return nil, nil, fmt.Errorf("the format gave something that is not JSON: %w", err)
		}
		line = compact.Bytes()
	}
	return append(line, '\n'), body.Release, nil
}

// append writes the line with one write and returns what waits until it is on
// disk.
func (l *lines) append(line []byte) (onDisk func() error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.follow(); err != nil {
		return nil, err
	}
	if l.torn {
		if _, err := io.WriteString(l.file, "\n"); err != nil {
			return nil, err
		}
		l.torn = false
	}
	if n, err := l.file.Write(line); err != nil {
		l.torn = n > 0
		return nil, err
	}
	if l.sync == nil {
		return func() error { return nil }, nil
	}
	s := l.sync
	n := s.wrote()
	return func() error { return s.wait(n) }, nil
}

// follow opens the file anew when it was moved away or removed (logrotate).
func (l *lines) follow() error {
	if l.path == "" {
		return nil
	}
	if l.file != nil {
		there, err := os.Stat(l.path)
		here, hereErr := l.file.Stat()
		if err == nil && hereErr == nil && os.SameFile(there, here) && (l.sync == nil || !l.sync.broken()) {
			return nil
		}
		l.close()
	}
	return l.open()
}

// close syncs what was written and closes the file. Those who wait for the sync
// learn its result.
func (l *lines) close() error {
	var synced error
	if l.sync != nil {
		synced = l.sync.finish()
	}
	err := errors.Join(synced, l.file.Close())
	l.file, l.sync = nil, nil
	return err
}

// Preview implements sinks.Previewer.
func (l *lines) Preview(d *sinks.Delivery) (sinks.Request, error) {
	line, release, err := l.line(d)
	if err != nil {
		return sinks.Request{}, err
	}
	defer release()
	return sinks.Request{Method: "APPEND", URL: l.name, Body: bytes.Clone(line)}, nil
}

// Check implements sinks.Checker.
func (l *lines) Check(context.Context) []sinks.Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	return found("file", l.name+" is open for appending", l.follow(), "check the sink's path and its permissions")
}

// Close implements sinks.Sink.
func (l *lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path == "" || l.file == nil {
		return nil
	}
	return l.close()
}
