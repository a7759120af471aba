package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/postferry/postferry/blob"
	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

// dir makes one file for each mail or attachment.
type dir struct {
	objects payload.Objects
	path    string
	store   *blob.Dir // nil: for previews alone
}

func (o *Options) dir(r payload.Renderer, inert bool) (*dir, error) {
	s := &dir{path: o.Dir, objects: payload.Objects{Render: r, Each: o.Each == "attachment", Sidecar: o.Sidecar}}
	key, err := s.objects.Validate()
	if err != nil {
		return nil, config.At(key, err)
	}
	if o.Key != "" {
		if s.objects.Key, err = payload.CompileKey(o.Key); err != nil {
			return nil, err
		}
	}
	if !inert {
		if s.store, err = blob.OpenDir(o.Dir); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// SplitsAttachments implements sinks.Splitter.
func (s *dir) SplitsAttachments() bool { return s.objects.Each }

// Deliver implements sinks.Sink.
func (s *dir) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	if ctx.Err() != nil {
		return sinks.Receipt{}, aborted(ctx)
	}
	list, release, err := s.objects.Of(d)
	if err != nil {
		return sinks.Receipt{}, err
	}
	defer release()
	names := make([]string, len(list))
	for i, o := range list {
		if err := s.store.Put(ctx, o); err != nil {
			return sinks.Receipt{}, err
		}
		names[i] = o.Key
	}
	if len(names) == 0 {
		return sinks.Receipt{Detail: "no attachments"}, nil
	}
	return sinks.Receipt{Detail: strings.Join(names, ", ")}, nil
}

// Preview implements sinks.Previewer; of several files it shows the first.
func (s *dir) Preview(d *sinks.Delivery) (sinks.Request, error) {
	list, release, err := s.objects.Of(d)
	if err != nil {
		return sinks.Request{}, err
	}
	defer release()
	if len(list) == 0 {
		return sinks.Request{Method: "NONE", URL: s.path}, nil
	}
	r, err := list[0].Open()
	if err != nil {
		return sinks.Request{}, fmt.Errorf("reading the mail: %w", err)
	}
	body, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return sinks.Request{}, fmt.Errorf("reading the mail: %w", err)
	}
	return sinks.Request{Method: "WRITE", URL: filepath.Join(s.path, filepath.FromSlash(list[0].Key)), Body: body}, nil
}

// Check implements sinks.Checker: it makes a file and removes it.
func (s *dir) Check(ctx context.Context) []sinks.Finding {
	return found("directory", "files can be written in "+s.path, s.store.Check(ctx), "check the sink's dir and its permissions")
}

// Close implements sinks.Sink.
func (s *dir) Close() error {
	if s.store == nil {
		return nil
	}
	return s.store.Close()
}
