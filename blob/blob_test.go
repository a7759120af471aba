package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/postferry/postferry/blob"
	"github.com/postferry/postferry/internal/mailtest/s3d"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func object(key string, octets []byte) blob.Object {
	return blob.Object{Key: key, Size: int64(len(octets)), ContentType: "application/pdf", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(octets)), nil }}
}

func bucket(t testing.TB, s *s3d.Server, name string) *blob.Bucket {
	t.Helper()
	b, err := blob.OpenBucket(blob.BucketOptions{Endpoint: s.URL, Region: s3d.Region, Bucket: name, AccessKey: s3d.AccessKey, SecretKey: s3d.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stores are every kind of store, and what is under a key of it.
func stores(t *testing.T) map[string]struct {
	blob.Store
	get func(key string) []byte
} {
	dir := t.TempDir()
	d, err := blob.OpenDir(filepath.Join(dir, "new", "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	s := s3d.Start(t, "mail")
	b := bucket(t, s, "mail")
	t.Cleanup(func() { d.Close(); b.Close() })
	return map[string]struct {
		blob.Store
		get func(key string) []byte
	}{
		"a directory": {d, func(key string) []byte {
			octets, _ := os.ReadFile(filepath.Join(dir, "new", "blobs", key))
			return octets
		}},
		"a bucket": {b, func(key string) []byte { return s.Objects()[key].Body }},
	}
}

func TestWhatIsPutIsThere(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16) // in more than one part
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			for key, octets := range map[string][]byte{
				"a": []byte("one"), "a.b/c d/é 日本.pdf": []byte("two"), "empty": {}, "deep/er/and/deeper": []byte("three"), "large": large,
			} {
				for range 2 {
					if err := s.Put(t.Context(), object(key, octets)); err != nil {
						t.Errorf("%s: %v", key, err)
					}
				}
				if got := s.get(key); !bytes.Equal(got, octets) {
					t.Errorf("%s has %d octets of %d", key, len(got), len(octets))
				}
			}
			for _, c := range []struct {
				key  string
				size int64
				want bool
			}{{"a", 3, true}, {"a", 2, false}, {"empty", 0, true}, {"deep/er/and/deeper", 5, true}, {"deep/er", 0, false}, {"absent", 0, false}, {"absent/too", 1, false}, {"large", 20 << 20, true}} {
				if got, err := s.Has(t.Context(), c.key, c.size); got != c.want || err != nil {
					t.Errorf("%s with %d octets is there: %v, %v", c.key, c.size, got, err)
				}
			}
			if _, err := s.Has(t.Context(), "../a", 3); err == nil {
				t.Error("a place outside is looked at")
			}
			if err := s.Put(t.Context(), object("a", []byte("other"))); err != nil || string(s.get("a")) != "other" {
				t.Errorf("put again it is %q, %v", s.get("a"), err)
			}
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
			if a := s.Address("x/y z"); !strings.HasSuffix(a, "/x/y%20z") {
				t.Errorf("its address is %s", a)
			}
		})
	}
}

func TestTheSameKeyPutByManyIsWhole(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			octets := bytes.Repeat([]byte("x"), 100_000)
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					if err := s.Put(t.Context(), object("k", octets)); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if !bytes.Equal(s.get("k"), octets) {
				t.Error("it is not whole")
			}
		})
	}
}

func TestKeysThatAreNoPathBelowAreRefused(t *testing.T) {
	for name, s := range stores(t) {
		for _, key := range []string{"", "/a", "a/", "a//b", "..", "../a", "a/../b", ".", "a/.", "a\\b", "a\x00b", "a\nb", "\xff", strings.Repeat("x", 241), strings.Repeat("x/", 500)} {
			if err := s.Put(t.Context(), object(key, []byte("x"))); err == nil {
				t.Errorf("%s takes the key %q", name, key)
			}
		}
	}
}

func TestAnObjectThatCannotBeReadLeavesNothing(t *testing.T) {
	for name, s := range stores(t) {
		short := object("short", []byte("abc"))
		short.Size = 5
		if err := s.Put(t.Context(), short); err == nil || s.get("short") != nil {
			t.Errorf("%s: fewer octets than announced: %v", name, err)
		}
		broken := object("broken", nil)
		broken.Open = func() (io.ReadCloser, error) { return nil, errors.New("input/output error") }
		if err := s.Put(t.Context(), broken); err == nil || s.get("broken") != nil {
			t.Errorf("%s: octets that cannot be read: %v", name, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Put(ctx, object("late", []byte("abc"))); err == nil || s.get("late") != nil {
			t.Errorf("%s: a context that ended: %v", name, err)
		}
	}
}

func TestAFileThatWasNotSyncedIsNone(t *testing.T) {
	dir := t.TempDir()
	d, err := blob.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.Sync = func(*os.File) error { return errors.New("input/output error") }
	if err := d.Put(t.Context(), object("a/b", []byte("x"))); err == nil {
		t.Error("it was put")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "a", "*b*")); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}

func TestASymbolicLinkLeadsNowhere(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	d, err := blob.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Put(t.Context(), object("out/a", []byte("x"))); err == nil {
		t.Error("a file was put outside")
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("outside are %v", left)
	}
}

func TestWhatABucketRefusesIsTold(t *testing.T) {
	s := s3d.Start(t, "mail")
	for _, c := range []struct {
		name   string
		o      blob.BucketOptions
		refuse int
		status int
		code   string
	}{
		{"another secret", blob.BucketOptions{Bucket: "mail", AccessKey: s3d.AccessKey, SecretKey: "other"}, 0, 403, "SignatureDoesNotMatch"},
		{"another bucket", blob.BucketOptions{Bucket: "post", AccessKey: s3d.AccessKey, SecretKey: s3d.SecretKey}, 0, 404, "NoSuchBucket"},
		{"no permission", blob.BucketOptions{Bucket: "mail", AccessKey: s3d.AccessKey, SecretKey: s3d.SecretKey}, 403, 403, "AccessDenied"},
		{"a failure", blob.BucketOptions{Bucket: "mail", AccessKey: s3d.AccessKey, SecretKey: s3d.SecretKey}, 500, 500, "InternalError"},
	} {
		c.o.Endpoint, c.o.Region = s.URL, s3d.Region
		s.Refuse(c.refuse)
		b, err := blob.OpenBucket(c.o)
		if err != nil {
			t.Fatal(err)
		}
		err = b.Put(t.Context(), object("a", []byte("x")))
		var refused *blob.Refused
		if !errors.As(err, &refused) || refused.Status != c.status || refused.Code != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
		if there, err := b.Has(t.Context(), "a", 1); there || err == nil && c.status != 404 {
			t.Errorf("%s: an object is looked for: %v, %v", c.name, there, err)
		}
		if err := b.Check(t.Context()); err == nil {
			t.Errorf("%s: a check finds nothing", c.name)
		}
		b.Close()
	}
	for _, endpoint := range []string{"s3.example.com", "ftp://x", "https://", "https://u:p@x", "https://x/path"} {
		if _, err := blob.OpenBucket(blob.BucketOptions{Endpoint: endpoint, Bucket: "b"}); err == nil {
			t.Errorf("%s is an endpoint", endpoint)
		}
	}
}

func FuzzSegment(f *testing.F) {
	for _, s := range []string{"", ".", "..", "../../etc/passwd", "C:\\x", "a\x00b", "\u202egnp.exe", strings.Repeat("é", 500), ".htaccess", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := blob.Segment(s)
		if got != "" && blob.CheckKey(got) != nil || strings.Contains(got, "/") {
			t.Fatalf("%q makes %q", s, got)
		}
		if err := blob.CheckKey("x/" + got + "-y"); err != nil {
			t.Fatalf("%q makes %q: %v", s, got, err)
		}
	})
}
