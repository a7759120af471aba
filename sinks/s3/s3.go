// Package s3 delivers mail into a bucket of an S3-compatible store: one object for
// each mail, or for each attachment, under a key made of the mail, so that a
// delivery that is repeated puts the same object again. A delivery is acknowledged
// when the store has answered that it has every object of it.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postferry/postferry/blob"
	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

// Options are the keys of a sink of type s3, beside those every sink has.
type Options struct {
	config.Bucket
	Each    string `config:"each" enum:"message,attachment" doc:"What an object holds, a message unless set."`
	Key     string `config:"key,raw" doc:"The object's key, with holes: {{ attachment.sha256 }}-{{ attachment.safeName }} (docs/attachments.md). The delivery's id unless set."`
	Sidecar bool   `config:"sidecar" doc:"With each: attachment, beside each object the event without contents, under its key and .json."`
}

// Validate refuses options that contradict one another.
func (o *Options) Validate() error {
	switch {
	case o.Each != "" && o.Each != "message" && o.Each != "attachment":
		return fmt.Errorf("each %q is not message or attachment", o.Each)
	case o.Sidecar && o.Each != "attachment":
		return errors.New("sidecar needs each: attachment")
	case o.Key == "":
		return nil
	}
	_, err := payload.CompileKey(o.Key)
	return config.At("key", err)
}

// Sink puts objects into one bucket. It implements sinks.Sink, Previewer, Checker
// and Splitter.
type Sink struct {
	name    string
	objects payload.Objects
	store   *blob.Bucket
	bucket  string
	secret  string // masked wherever the network repeats it
}

// timeout bounds one delivery, with a second more for each MiB.
const timeout = 60 * time.Second

// New makes the sink of that name. It connects to nothing.
func New(name string, o Options, r payload.Renderer, e sinks.Env) (*Sink, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if r.NeedsHeader() && o.Each != "attachment" {
		return nil, config.At("format", errors.New("this format has a part of each event in header fields, which an object does not have: use mode: structured"))
	}
	s := &Sink{name: name, bucket: o.Bucket.Bucket, secret: o.SecretKey.Reveal(), objects: payload.Objects{Render: r, Each: o.Each == "attachment", Sidecar: o.Sidecar}}
	key, err := s.objects.Validate()
	if err != nil {
		return nil, config.At(key, err)
	}
	if o.Key != "" {
		if s.objects.Key, err = payload.CompileKey(o.Key); err != nil {
			return nil, err
		}
	}
	s.store, err = Open(o.Bucket, e.WithDefaults().Concurrency)
	return s, err
}

// Open opens a bucket as it is configured, for up to that many requests at once.
func Open(b config.Bucket, concurrency int) (*blob.Bucket, error) {
	u, err := url.Parse(b.Endpoint)
	if err != nil {
		return nil, config.At("endpoint", errors.New("it cannot be read; write it as https://host"))
	}
	if u.Scheme == "http" && !b.Insecure && !dial.IsLoopback(u.Hostname()) {
		return nil, config.At("endpoint", errors.New("it is http:// to another machine, so mail would go in clear text: use https://, or set insecure: true"))
	}
	if u.Scheme == "http" && b.TLS.Names() {
		return nil, config.At("tls", errors.New("it has no effect with an endpoint of http://: use https://, or take it out"))
	}
	tls, err := dial.TLS(b.TLS).Config(u.Hostname())
	if err != nil {
		return nil, config.At("tls", err)
	}
	tls.ServerName = b.TLS.ServerName
	return blob.OpenBucket(blob.BucketOptions{
		Endpoint: b.Endpoint, Region: b.Region, Bucket: b.Bucket, AccessKey: b.AccessKey, SecretKey: b.SecretKey.Reveal(),
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig: tls, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: timeout, ForceAttemptHTTP2: true,
			MaxIdleConns: concurrency, MaxIdleConnsPerHost: concurrency, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		},
	})
}

// SplitsAttachments implements sinks.Splitter.
func (s *Sink) SplitsAttachments() bool { return s.objects.Each }

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	list, release, err := s.objects.Of(d)
	if err != nil {
		return sinks.Receipt{}, err
	}
	defer release()
	keys := make([]string, len(list))
	for i, o := range list {
		limited, cancel := context.WithTimeout(ctx, timeout+time.Duration(o.Size>>20)*time.Second)
		err := s.store.Put(limited, o)
		cancel()
		if err != nil {
			return sinks.Receipt{}, s.failed(ctx, err)
		}
		keys[i] = o.Key
	}
	if len(keys) == 0 {
		return sinks.Receipt{Detail: "no attachments"}, nil
	}
	return sinks.Receipt{Detail: "200 " + strings.Join(keys, ", ")}, nil
}

// failed grades an object that was not put.
func (s *Sink) failed(parent context.Context, err error) error {
	if parent.Err() != nil { // shutting down: nothing is known of the store
		return fmt.Errorf("putting an object into bucket %s: %w", s.bucket, context.Cause(parent))
	}
	return Grade(err, s.secret)
}

// Grade says whose fault it is that a bucket did not take an object. secret does
// not show in it.
func Grade(err error, secret string) error {
	text := err.Error()
	if len(secret) > 0 {
		text = strings.ReplaceAll(text, secret, "***")
	}
	said := errors.New(dial.Printable(text))
	var refused *blob.Refused
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return sinks.SinkFault(fmt.Errorf("%w — check the endpoint, and this machine's name server", said))
	case !errors.As(err, &refused):
		return said
	}
	answered := &sinks.AttemptError{Detail: fmt.Sprintf("%d %s", refused.Status, refused.Code), Err: said}
	switch {
	case refused.Code == "NoSuchBucket":
		answered.Err = fmt.Errorf("%w — make the bucket, or check its name", said)
		return sinks.SinkFault(answered)
	case refused.Status == http.StatusUnauthorized, refused.Status == http.StatusForbidden, refused.Status == http.StatusNotFound,
		refused.Status >= 300 && refused.Status <= 399:
		answered.Err = fmt.Errorf("%w — check access_key and secret_key, region and endpoint, and what the key may do", said)
		return sinks.SinkFault(answered)
	case refused.Code == "EntityTooLarge", refused.Code == "KeyTooLongError", refused.Status == http.StatusRequestEntityTooLarge:
		return sinks.MailFault(answered)
	}
	return answered
}

// Preview implements sinks.Previewer; of several objects it shows the first.
func (s *Sink) Preview(d *sinks.Delivery) (sinks.Request, error) {
	list, release, err := s.objects.Of(d)
	if err != nil {
		return sinks.Request{}, err
	}
	defer release()
	if len(list) == 0 {
		return sinks.Request{Method: "NONE", URL: s.store.Address("")}, nil
	}
	r, err := list[0].Open()
	if err != nil {
		return sinks.Request{}, fmt.Errorf("reading the mail: %w", err)
	}
	body, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return sinks.Request{}, fmt.Errorf("reading the mail: %w", err)
	}
	return sinks.Request{Method: http.MethodPut, URL: s.store.Address(list[0].Key), Header: http.Header{"Content-Type": {list[0].ContentType}}, Body: body}, nil
}

// Check implements sinks.Checker: it asks for the bucket, and puts nothing.
func (s *Sink) Check(ctx context.Context) []sinks.Finding {
	if err := s.store.Check(ctx); err != nil {
		graded := Grade(err, s.secret)
		return []sinks.Finding{{Step: "bucket", Said: graded.Error(), Fix: "check bucket, endpoint, region, access_key and secret_key"}}
	}
	return []sinks.Finding{{Step: "bucket", OK: true, Said: "bucket " + s.bucket + " is there and answers this key"}}
}

// Format implements fmt.Formatter: under every verb a Sink is its name and bucket,
// so that printing one shows no secret.
func (s *Sink) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "s3 %s to bucket %s", s.name, s.bucket) }

// Close implements sinks.Sink.
func (s *Sink) Close() error { return s.store.Close() }

var (
	_ sinks.Sink      = (*Sink)(nil)
	_ sinks.Previewer = (*Sink)(nil)
	_ sinks.Checker   = (*Sink)(nil)
	_ sinks.Splitter  = (*Sink)(nil)
)
