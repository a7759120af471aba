package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

// dir makes one file for each mail or attachment.
type dir struct {
	render      payload.Renderer
	path        string
	attachments bool
	root        *os.Root // no name leads out of it
	fsync       func(*os.File) error
}

func newDir(path string, attachments bool, r payload.Renderer) (*dir, error) {
	if err := makeDir(path); err != nil {
		return nil, fmt.Errorf("making the directory of the sink: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("opening the directory of the sink: %w", err)
	}
	return &dir{render: r, path: path, attachments: attachments, root: root, fsync: (*os.File).Sync}, nil
}

// makeDir makes the directory and those above it, so that a power cut does not
// take them away again.
func makeDir(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	above := filepath.Dir(filepath.Clean(path))
	if above != path {
		if err := makeDir(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(above)
}

// SplitsAttachments implements sinks.Splitter.
func (s *dir) SplitsAttachments() bool { return s.attachments }

// Deliver implements sinks.Sink.
func (s *dir) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	if ctx.Err() != nil {
		return sinks.Receipt{}, aborted(ctx)
	}
	if s.attachments && d.Part == "" {
		return sinks.Receipt{Detail: "no attachments"}, nil
	}
	name, write, err := s.plan(d)
	if err != nil {
		return sinks.Receipt{}, err
	}
	if err := s.write(name, write); err != nil {
		return sinks.Receipt{}, fmt.Errorf("writing a file in %s: %w", s.path, err)
	}
	return sinks.Receipt{Detail: name}, nil
}

// plan says which file the delivery becomes and how its octets are written.
func (s *dir) plan(d *sinks.Delivery) (name string, write func(io.Writer) error, err error) {
	if d.ID == "" || strings.Trim(d.ID, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return "", nil, sinks.Permanent(fmt.Errorf("delivery id %q cannot be a file name", d.ID))
	}
	if !s.attachments {
		return d.ID + extension(s.render), func(w io.Writer) error { return s.writeBody(w, d) }, nil
	}
	a := attachment(d)
	if a == nil {
		return "", nil, sinks.Permanent(fmt.Errorf("the mail has no attachment %q", d.Part))
	}
	return d.ID + suffix(a.SafeName), func(w io.Writer) error { return writeAttachment(w, a) }, nil
}

// longestSuffix keeps names, with what the temporary one adds, below the 255
// octets most file systems allow.
const longestSuffix = 160

// suffix is what an attachment's name adds to that of its file: its end, where
// the extension is, if it is very long.
func suffix(safeName string) string {
	if safeName == "" {
		return ""
	}
	name := filepath.Base(safeName)
	for len(name) > longestSuffix {
		_, first := utf8.DecodeRuneInString(name)
		name = name[first:]
	}
	return "-" + name
}

func extension(r payload.Renderer) string {
	switch {
	case r.IsJSON():
		return ".json"
	case r.ContentType() == "message/rfc822":
		return ".eml"
	}
	return ".body"
}

func attachment(d *sinks.Delivery) *parser.Attachment {
	for i := range d.Message.Attachments {
		if a := &d.Message.Attachments[i]; a.PartID == d.Part {
			return a
		}
	}
	return nil
}

func (s *dir) writeBody(w io.Writer, d *sinks.Delivery) error {
	body, err := s.render.Render(d)
	if err != nil {
		return err
	}
	defer body.Release()
	_, err = body.WriteTo(w)
	return err
}

func writeAttachment(w io.Writer, a *parser.Attachment) error {
	r, err := a.Open()
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, r.Close())
}

// write makes the file under a temporary name, syncs and renames it, and syncs
// the directory. What a crash leaves under the temporary name is written over
// by the next try, which has the same name.
func (s *dir) write(name string, write func(io.Writer) error) error {
	temporary := "." + name + ".tmp"
	f, err := s.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = s.fsync(f)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.root.Rename(temporary, name)
	}
	if err != nil {
		s.root.Remove(temporary)
		return err
	}
	return syncDir(s.path)
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Preview implements sinks.Previewer.
func (s *dir) Preview(d *sinks.Delivery) (sinks.Request, error) {
	if s.attachments && d.Part == "" {
		return sinks.Request{Method: "NONE", URL: s.path}, nil
	}
	name, write, err := s.plan(d)
	if err != nil {
		return sinks.Request{}, err
	}
	var body strings.Builder
	if err := write(&body); err != nil {
		return sinks.Request{}, fmt.Errorf("reading the mail: %w", err)
	}
	return sinks.Request{Method: "WRITE", URL: filepath.Join(s.path, name), Body: []byte(body.String())}, nil
}

// Check implements sinks.Checker: it makes a file and removes it.
func (s *dir) Check(context.Context) []sinks.Finding {
	const name = ".postferry-check"
	err := s.write(name, func(w io.Writer) error { return nil })
	if err == nil {
		err = s.root.Remove(name)
	}
	return found("directory", "files can be written in "+s.path, err, "check the sink's dir and its permissions")
}

// Close implements sinks.Sink.
func (s *dir) Close() error {
	if s.root == nil {
		return nil
	}
	return s.root.Close()
}
