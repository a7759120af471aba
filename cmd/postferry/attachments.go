package main

import (
	"context"
	"errors"

	"github.com/postferry/postferry/blob"
	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
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

// keep makes a destination keep attachments before they are delivered.
func keep(k *config.Sink, o payload.Options, d *sinks.Destination) error {
	if k.AttachmentsTo == nil {
		return nil
	}
	stored, err := storeOf(k.AttachmentsTo, o.Only, false)
	if err != nil {
		return err
	}
	secret := ""
	if k.AttachmentsTo.S3 != nil {
		secret = k.AttachmentsTo.S3.SecretKey.Reveal()
	}
	d.Prepare = func(ctx context.Context, delivery *sinks.Delivery) error {
		err := stored.Put(ctx, delivery)
		if err == nil || sinks.IsPermanent(err) || ctx.Err() != nil {
			return err
		}
		return s3.Grade(err, secret)
	}
	return nil
}
