package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/postferry/postferry/admin"
)

// checkStore looks at the store without opening it.
func checkStore(ctx context.Context, path string, t *checkTarget) {
	began := time.Now()
	said, fix, err := lookAtStore(ctx, path)
	took := time.Since(began)
	if err != nil {
		t.add("store", stepFailed, err.Error(), fix, took)
		t.failed(exitConfig)
		return
	}
	t.add("store", stepOK, said, "", took)
}

func lookAtStore(ctx context.Context, path string) (said, fix string, err error) {
	st, err := admin.AskStatus(ctx, admin.SocketPath(path))
	if err == nil {
		return fmt.Sprintf("a service runs on it (pid %d, version %s)", st.PID, st.Version), "", nil
	}
	if !errors.Is(err, admin.ErrNotRunning) {
		return "", "a service runs on this store and does not answer as it should; see its log, or run this as the user it runs as", err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		said, err = willBeMade(path)
		return said, storeFix, err
	}
	if err != nil {
		return "", storeFix, fmt.Errorf("reading the store: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", storeFix, fmt.Errorf("reading the store: %w", err)
	}
	if !info.Mode().IsRegular() || !isDatabase(f, info.Size()) {
		return "", "give store the name of another file, or restore this one from a backup", fmt.Errorf("%s is no SQLite database", path)
	}
	for _, p := range []string{path, filepath.Dir(path)} { // the write-ahead log stands beside it
		if err := writable(p); err != nil {
			return "", storeFix, fmt.Errorf("%s may not be written: %w", p, err)
		}
	}
	return fmt.Sprintf("is there, of %d octets, and no service runs on it", info.Size()), "", nil
}

const storeFix = "let the user who runs postferry write there, or set store to another place"

// isDatabase looks for SQLite's magic; an empty file is a database without
// tables.
func isDatabase(f *os.File, size int64) bool {
	magic := []byte("SQLite format 3\x00")
	if size == 0 {
		return true
	}
	head := make([]byte, len(magic))
	_, err := io.ReadFull(f, head)
	return err == nil && bytes.Equal(head, magic)
}

// willBeMade says where a file that is missing will be made, or why it cannot.
func willBeMade(path string) (said string, err error) {
	dir := filepath.Dir(path)
	for {
		info, err := os.Stat(dir)
		switch parent := filepath.Dir(dir); {
		case err == nil && !info.IsDir():
			return "", fmt.Errorf("%s cannot be made: %s is no folder", path, dir)
		case err == nil:
			if err := writable(dir); err != nil {
				return "", fmt.Errorf("%s cannot be made: folder %s may not be written: %w", path, dir, err)
			}
			if dir != filepath.Dir(path) {
				return "is not there; it and its folder will be made in " + dir, nil
			}
			return "is not there; it will be made in " + dir, nil
		case !errors.Is(err, fs.ErrNotExist) || parent == dir:
			return "", fmt.Errorf("%s cannot be made: %w", path, err)
		default:
			dir = parent
		}
	}
}
