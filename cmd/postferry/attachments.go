package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postferry/postferry/blob"
	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/file"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/s3"
)

// attachments reads which attachments a sink wants, and where they are kept. It
// makes and connects to nothing.
func attachments(k *config.Sink, o *payload.Options) error {
	if only := k.AttachmentsOnly; only != nil {
		o.Only = &payload.Filter{Types: only.Types, Names: only.Names, Min: int64(only.MinSize), Max: int64(only.MaxSize)}
		if err := o.Only.CheckFilter(); err != nil {
			return k.Section.Error("attachments_only", err)
		}
		if o.Attachments == payload.None {
			return k.Section.Error("attachments_only", errors.New("it has no effect with attachments: none"))
		}
	}
	switch {
	case k.AttachmentsTo == nil && o.Attachments == payload.Store:
		return k.Section.Error("attachments", errors.New("store needs to know where: set attachments_to"))
	case k.AttachmentsTo == nil:
		return nil
	case o.Attachments != payload.Store:
		return k.Section.Error("attachments_to", errors.New("it goes with attachments: store"))
	}
	stored, err := storeOf(k.AttachmentsTo, o.Only, true)
	if err != nil {
		return k.Section.Error("attachments_to", err)
	}
	o.Link = stored.Link
	return nil
}

// storeOf makes the store of a sink's attachments; with inert for links alone.
func storeOf(to *config.AttachmentStore, only *payload.Filter, inert bool) (*payload.Stored, error) {
	s := &payload.Stored{Base: to.BaseURL, Only: only}
	var err error
	if to.Key != "" {
		if s.Key, err = payload.CompileKey(to.Key); err != nil {
			return nil, err
		}
	}
	switch {
	case to.S3 != nil:
		s.Store, err = s3.Open(*to.S3, sinks.DefaultConcurrency)
	case inert:
		s.Store = blob.NewDir(to.Dir)
	default:
		s.Store, err = blob.OpenDir(to.Dir)
	}
	return s, err
}

// wants is the filter of deliveries of one attachment each; nil where there is none.
func (k sinkSetup) wants() func(*parser.Attachment) bool {
	if only := k.renderer.Options.Only; only != nil {
		return only.Takes
	}
	return nil
}

// keep makes a destination keep attachments before they are delivered. What they
// are kept in is made with the first of them.
func keep(k *config.Sink, o payload.Options, d *sinks.Destination) {
	to := k.AttachmentsTo
	if to == nil {
		return
	}
	secret := ""
	if to.S3 != nil {
		secret = to.S3.SecretKey.Reveal()
	}
	var opening sync.Mutex
	var opened *payload.Stored
	open := func() (_ *payload.Stored, err error) {
		opening.Lock()
		defer opening.Unlock()
		if opened == nil {
			opened, err = storeOf(to, o.Only, false)
		}
		return opened, err
	}
	d.Prepare = func(ctx context.Context, delivery *sinks.Delivery) error {
		stored, err := open()
		if err == nil {
			err = stored.Put(ctx, delivery)
		}
		if err == nil || sinks.IsPermanent(err) || ctx.Err() != nil {
			return err
		}
		return s3.Grade(err, secret)
	}
}

// checkAttachments looks at where a sink's attachments are kept, and makes nothing.
func checkAttachments(ctx context.Context, k sinkSetup, t *checkTarget) {
	to := k.AttachmentsTo
	if to == nil {
		return
	}
	began := time.Now()
	var said string
	stored, err := storeOf(to, nil, true)
	switch {
	case err != nil:
	case to.S3 == nil:
		said, err = lookAtFile(file.Options{Dir: to.Dir})
	default:
		said = "bucket " + to.S3.Bucket + " is there and answers this key"
		if err = stored.Store.Check(ctx); err != nil {
			err = s3.Grade(err, to.S3.SecretKey.Reveal())
		}
		_ = stored.Store.Close() // it only lets go of idle connections
	}
	if err != nil {
		t.add("attachments", stepFailed, err.Error(), "check the sink's attachments_to", time.Since(began))
		t.failed(exitUnavailable)
		return
	}
	t.add("attachments", stepOK, said, "", time.Since(began))
}
