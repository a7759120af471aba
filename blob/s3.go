package blob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Bucket is a bucket of an S3-compatible store: AWS, MinIO, Ceph, Garage,
// Cloudflare R2, Backblaze B2 …
type Bucket struct {
	client *minio.Client
	name   string
	close  func()
}

// BucketOptions say where a bucket is and who asks.
type BucketOptions struct {
	Endpoint  string // https://host[:port]; "" is AWS
	Region    string // "" is us-east-1, or what the store says
	Bucket    string
	AccessKey string // with SecretKey; both "" is the environment's AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
	SecretKey string
	Transport *http.Transport // nil: one of its own
}

// OpenBucket makes the client. It connects to nothing.
func OpenBucket(o BucketOptions) (*Bucket, error) {
	endpoint := o.Endpoint
	if endpoint == "" {
		endpoint = "https://s3.amazonaws.com"
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return nil, errors.New("endpoint must be https://host, with a port if it needs one and nothing behind it")
	}
	who := credentials.NewEnvAWS()
	if o.AccessKey != "" || o.SecretKey != "" {
		who = credentials.NewStaticV4(o.AccessKey, o.SecretKey, "")
	}
	options := &minio.Options{Creds: who, Secure: u.Scheme == "https", Region: o.Region, MaxRetries: 1} // the schedule is the sink's
	b := &Bucket{name: o.Bucket, close: func() {}}
	if o.Transport != nil {
		options.Transport, b.close = o.Transport, o.Transport.CloseIdleConnections
	}
	if b.client, err = minio.New(u.Host, options); err != nil {
		return nil, fmt.Errorf("the bucket's options: %w", err)
	}
	return b, nil
}

// Put implements Store: the store's answer says that it has the object.
func (b *Bucket) Put(ctx context.Context, o Object) error {
	if err := CheckKey(o.Key); err != nil {
		return err
	}
	r, err := o.Open()
	if err != nil {
		return err
	}
	_, err = b.client.PutObject(ctx, b.name, o.Key, struct{ readCloser }{r}, o.Size, minio.PutObjectOptions{
		ContentType: o.ContentType, PartSize: 16 << 20, NumThreads: 1, SendContentMd5: false,
	})
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("putting an object into bucket %s: %w", b.name, explained(err))
	}
	return nil
}

// Has implements Store. A key that may put may be forbidden to look: that is an
// error.
func (b *Bucket) Has(ctx context.Context, key string, size int64) (bool, error) {
	if err := CheckKey(key); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	info, err := b.client.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	var refused *Refused
	switch err = explained(err); {
	case err == nil:
		return info.Size == size, nil
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound: // or there is no such bucket, which the answer to a HEAD does not tell
		return false, nil
	}
	return false, fmt.Errorf("looking for an object in bucket %s: %w", b.name, err)
}

// readCloser hides what else a reader can do.
type readCloser interface {
	Read([]byte) (int, error)
}

// Refused is what a store says no with.
type Refused struct {
	Status int
	Code   string // "AccessDenied"
	Said   string
}

// Error implements error.
func (r *Refused) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Said))
}

// explained makes a *Refused of an answer.
func explained(err error) error {
	var answer minio.ErrorResponse
	if errors.As(err, &answer) && answer.StatusCode != 0 {
		return &Refused{answer.StatusCode, answer.Code, answer.Message}
	}
	return err
}

// Check implements Store: it asks for the bucket.
func (b *Bucket) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	there, err := b.client.BucketExists(ctx, b.name)
	switch {
	case err != nil:
		return fmt.Errorf("asking for bucket %s: %w", b.name, explained(err))
	case !there:
		return fmt.Errorf("there is no bucket %s", b.name)
	}
	return nil
}

// Address implements Store.
func (b *Bucket) Address(key string) string {
	return (&url.URL{Scheme: "s3", Host: b.name, Path: "/" + key}).String()
}

// Close implements Store.
func (b *Bucket) Close() error {
	b.close()
	return nil
}

var _ Store = (*Bucket)(nil)
