package blob

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"sync"
)

// Dir is a directory. Its files are readable by their owner only (mode 0600), since
// mail is private; a file has its name once its octets are on disk.
type Dir struct {
	// Sync makes a file durable; (*os.File).Sync unless a test wants it to fail.
	Sync func(*os.File) error

	path  string
	seed  maphash.Seed
	locks [64]sync.Mutex // by key: the same object is written by one at a time
}

// OpenDir looks at the directory, and makes it if it is missing. Nothing is held
// open between calls.
func OpenDir(path string) (*Dir, error) {
	if err := makeDir(path); err != nil {
		return nil, fmt.Errorf("making the directory: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("opening the directory: %w", err)
	}
	return NewDir(path), root.Close()
}

// NewDir is the directory without a look at it, for addresses alone.
func NewDir(path string) *Dir {
	return &Dir{Sync: (*os.File).Sync, path: path, seed: maphash.MakeSeed()}
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
	d, err := os.Open(above)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Put implements Store: the file is written under a temporary name, synced and
// renamed, and its directory synced. What a crash leaves under the temporary name
// is written over by the next Put, which has the same name.
func (d *Dir) Put(ctx context.Context, o Object) error {
	if err := CheckKey(o.Key); err != nil {
		return err
	}
	lock := &d.locks[maphash.String(d.seed, o.Key)%uint64(len(d.locks))]
	lock.Lock()
	defer lock.Unlock()
	root, err := os.OpenRoot(d.path) // no name leads out of it
	if err != nil {
		return fmt.Errorf("opening the directory: %w", err)
	}
	defer root.Close()
	in := path.Dir(o.Key)
	if err := makeWithin(root, in); err != nil {
		return fmt.Errorf("making a directory in %s: %w", d.path, err)
	}
	if err := d.write(ctx, root, path.Join(in, "."+path.Base(o.Key)+".tmp"), o); err != nil {
		return fmt.Errorf("writing a file in %s: %w", d.path, err)
	}
	return nil
}

func (d *Dir) write(ctx context.Context, root *os.Root, temporary string, o Object) error {
	f, err := root.OpenFile(filepath.FromSlash(temporary), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = fill(ctx, f, o)
	if err == nil {
		err = d.Sync(f)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(filepath.FromSlash(temporary), filepath.FromSlash(o.Key))
	}
	if err != nil {
		_ = root.Remove(filepath.FromSlash(temporary)) // the error that counts is the first
		return err
	}
	return syncWithin(root, path.Dir(o.Key))
}

// Has implements Store.
func (d *Dir) Has(_ context.Context, key string, size int64) (bool, error) {
	if err := CheckKey(key); err != nil {
		return false, err
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return false, fmt.Errorf("opening the directory: %w", err)
	}
	defer root.Close()
	switch info, err := root.Lstat(filepath.FromSlash(key)); {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("looking for a file in %s: %w", d.path, err)
	case !info.Mode().IsRegular() || info.Size() != size:
		return false, nil
	}
	// Its octets were synced before it had its name; its name may not have been.
	return true, syncWithin(root, path.Dir(key))
}

// fill writes the object's octets, all of them and no more.
func fill(ctx context.Context, w io.Writer, o Object) error {
	r, err := o.Open()
	if err != nil {
		return err
	}
	n, err := io.Copy(w, struct{ io.Reader }{r})
	err = errors.Join(err, r.Close())
	switch {
	case err != nil:
		return err
	case n != o.Size:
		return fmt.Errorf("it has %d octets instead of %d", n, o.Size)
	}
	return context.Cause(ctx)
}

// makeWithin makes a directory below the store, and those above it.
func makeWithin(root *os.Root, name string) error {
	if name == "." {
		return nil
	}
	if _, err := root.Stat(filepath.FromSlash(name)); err == nil {
		return nil
	}
	above := path.Dir(name)
	if err := makeWithin(root, above); err != nil {
		return err
	}
	if err := root.Mkdir(filepath.FromSlash(name), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncWithin(root, above)
}

// syncWithin makes the names in a directory below the store durable.
func syncWithin(root *os.Root, name string) error {
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Check implements Store: it makes a file and removes it.
func (d *Dir) Check(ctx context.Context) error {
	const name = ".postferry-check"
	empty := Object{Key: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(eof{}), nil }}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := d.write(ctx, root, name+".tmp", empty); err != nil {
		return err
	}
	return root.Remove(name)
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// Address implements Store.
func (d *Dir) Address(key string) string {
	whole, err := filepath.Abs(filepath.Join(d.path, filepath.FromSlash(key)))
	if err != nil {
		whole = filepath.Join(d.path, filepath.FromSlash(key))
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(whole)}).String()
}

// Path is the directory.
func (d *Dir) Path() string { return d.path }

// Close implements Store; there is nothing to release.
func (d *Dir) Close() error { return nil }

var _ Store = (*Dir)(nil)
