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
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
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
	head := make([]byte, 100) // SQLite's header
	n, _ := io.ReadFull(f, head)
	head = head[:n]
	if !info.Mode().IsRegular() || !isDatabase(head) {
		return "", "give store the name of another file, or restore this one from a backup", fmt.Errorf("%s is no SQLite database", path)
	}
	if sqlite.Newer(head) {
		return "", "run that version, or restore an older backup", fmt.Errorf("%w (%s)", spool.ErrNewer, path)
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
func isDatabase(head []byte) bool {
	return len(head) == 0 || bytes.HasPrefix(head, []byte("SQLite format 3\x00"))
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
