package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/secret"
)

const (
	maxKept   = 4 << 20 // octets of the file
	lockEvery = 50 * time.Millisecond
	forgotten = 400 * 24 * time.Hour // after which what nobody used is dropped
)

// keeper keeps the newest refresh tokens in a file that its owner alone can read.
// It is replaced as a whole, and durable before the access token that came with it
// is used.
type keeper struct {
	file  string // "": nothing is kept
	clock clock.Clock
}

// kept is the file.
type kept struct {
	Version int                  `json:"version"`
	Grants  map[string]keptGrant `json:"grants"`
}

// keptGrant is the newest refresh token of one consent; the key is Config.grant.
type keptGrant struct {
	RefreshToken string    `json:"refreshToken"`
	SavedAt      time.Time `json:"savedAt"`
}

// lock keeps other processes from using the refresh tokens until it is let go.
func (k keeper) lock(ctx context.Context) (unlock func(), err error) {
	if k.file == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(filepath.Dir(k.file), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(k.file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // which ends the lock
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = k.clock.Sleep(ctx, lockEvery)
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}

// load gives the newest refresh token of a grant; none is no error.
func (k keeper) load(grant string) (secret.Secret, error) {
	all, err := k.read()
	return secret.New(all.Grants[grant].RefreshToken), err
}

func (k keeper) read() (kept, error) {
	if k.file == "" {
		return kept{}, nil
	}
	f, err := os.Open(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return kept{}, nil
	}
	if err != nil {
		return kept{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKept+1))
	if err != nil {
		return kept{}, err
	}
	var all kept
	if len(b) > maxKept || json.Unmarshal(b, &all) != nil || all.Version != 1 {
		return kept{}, fmt.Errorf("%s is damaged or of a newer version", k.file)
	}
	return all, nil
}

// save keeps the refresh token of a grant. A damaged file is put aside.
func (k keeper) save(grant string, token secret.Secret) error {
	if k.file == "" {
		return nil
	}
	all, err := k.read()
	if err != nil {
		if err := os.Rename(k.file, k.file+".damaged"); err != nil {
			return err
		}
	}
	now := k.clock.Now()
	if all.Grants == nil {
		all.Grants = map[string]keptGrant{}
	}
	for name, g := range all.Grants {
		if now.Sub(g.SavedAt) > forgotten {
			delete(all.Grants, name)
		}
	}
	all.Version = 1
	all.Grants[grant] = keptGrant{RefreshToken: token.Reveal(), SavedAt: now.UTC()}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return k.replace(b)
}

// replace writes the file anew: temporary name, fsync, rename, fsync of the
// folder.
func (k keeper) replace(b []byte) error {
	dir := filepath.Dir(k.file)
	f, err := os.CreateTemp(dir, filepath.Base(k.file)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), k.file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
