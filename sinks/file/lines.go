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
	torn bool    // the file may end in half a line
	sync *syncer // of the open file; nil if it is one that cannot be synced
}

func newLines(path string, r payload.Renderer) (*lines, error) {
	l := &lines{render: r, path: path, name: path}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

// open opens the file and mends its end: a crash may have left half a line there.
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
		err = mend(f)
		if err == nil && info.Size() == 0 {
			err = syncDir(filepath.Dir(l.path)) // the name may be new
		}
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("opening the file of the sink: %w", err)
	}
	l.file, l.sync, l.torn = f, nil, false
	if info.Mode().IsRegular() {
		l.sync = newSyncer(f)
	}
	return nil
}

// Deliver implements sinks.Sink.
func (l *lines) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	if ctx.Err() != nil {
		return sinks.Receipt{}, aborted(ctx)
	}
	body, err := l.render.Render(d)
	if err != nil {
		return sinks.Receipt{}, err
	}
	defer body.Release()
	onDisk, err := l.append(body)
	if err == nil {
		err = onDisk()
	}
	if err != nil {
		return sinks.Receipt{}, fmt.Errorf("appending to %s: %w", l.name, err)
	}
	return sinks.Receipt{Detail: fmt.Sprintf("%d octets", body.Size()+1)}, nil
}

// append writes the line and returns what waits until it is on disk.
func (l *lines) append(body *payload.Body) (onDisk func() error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.follow(); err != nil {
		return nil, err
	}
	if l.torn {
		if err := l.untear(); err != nil {
			return nil, err
		}
	}
	l.torn = true
	if err := writeLine(l.file, body); err != nil {
		return nil, err
	}
	l.torn = false
	if l.sync == nil {
		return func() error { return nil }, nil
	}
	s := l.sync
	n := s.wrote()
	return func() error { return s.wait(n) }, nil
}

// untear mends the end of the file after a write that failed.
func (l *lines) untear() error {
	err := error(nil)
	if l.sync != nil {
		err = mend(l.file)
	} else {
		_, err = io.WriteString(l.file, "\n") // what has left cannot be taken back
	}
	if err == nil {
		l.torn = false
	}
	return err
}

// writeLine writes the body and a newline: with one write if the body is in
// memory, else as it is read.
func writeLine(w io.Writer, body *payload.Body) error {
	octets, ok := body.Bytes()
	if !ok {
		if _, err := body.WriteTo(w); err != nil {
			return err
		}
		_, err := io.WriteString(w, "\n")
		return err
	}
	if bytes.IndexByte(octets, '\n') >= 0 {
		var compact bytes.Buffer
		if err := json.Compact(&compact, octets); err != nil {
			return fmt.Errorf("the format gave something that is not JSON: %w", err)
		}
		octets = compact.Bytes()
	}
	_, err := w.Write(append(octets, '\n'))
	return err
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
	body, err := l.render.Render(d)
	if err != nil {
		return sinks.Request{}, err
	}
	defer body.Release()
	var line bytes.Buffer
	if err := writeLine(&line, body); err != nil {
		return sinks.Request{}, fmt.Errorf("reading the mail: %w", err)
	}
	return sinks.Request{Method: "APPEND", URL: l.name, Body: line.Bytes()}, nil
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
