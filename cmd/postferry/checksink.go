package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/file"
)

// checkSink lets the sink look at its destination. A file sink is made inert, and
// what it writes to is looked at here: made in earnest it would make what is
// missing, and mend the end of a file that a running service is appending to.
func checkSink(ctx context.Context, k sinkSetup, t *checkTarget) {
	began := time.Now()
	isFile := k.Type == "file"
	d, err := k.destination(isFile)
	if err != nil {
		t.add("config", stepFailed, err.Error(), "", time.Since(began))
		t.failed(exitConfig)
		return
	}
	defer d.Sink.Close()
	defer checkAttachments(ctx, k, t)
	if isFile {
		checkFile(k, t)
		return
	}
	checker, ok := d.Sink.(sinks.Checker)
	if !ok {
		t.add("sink", stepSkipped, "this kind of sink cannot be checked without delivering", "", 0)
		return
	}
	findings := checker.Check(ctx)
	for i, f := range findings {
		status := stepOK
		if !f.OK {
			status = stepFailed
			t.failed(exitUnavailable)
		}
		took := time.Duration(0)
		if i == len(findings)-1 { // they do not tell how long each took
			took = time.Since(began)
		}
		t.add(f.Step, status, f.Said, f.Fix, took)
	}
}

// checkFile looks at what a file sink writes to.
func checkFile(k sinkSetup, t *checkTarget) {
	began := time.Now()
	var o file.Options
	_ = k.Section.Decode(&o) // was read before
	said, err := lookAtFile(o)
	if err != nil {
		t.add("file", stepFailed, err.Error(), "check the sink's path or dir, and its permissions", time.Since(began))
		t.failed(exitUnavailable)
		return
	}
	t.add("file", stepOK, said, "", time.Since(began))
}

func lookAtFile(o file.Options) (said string, err error) {
	path, folder := o.Path, false
	switch {
	case path == "-":
		return "standard output", nil
	case path == "":
		path, folder = o.Dir, true
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if dir := filepath.Dir(path); !folder {
			if _, err := os.Stat(dir); err != nil { // only folders of dir are made
				return "", fmt.Errorf("%s cannot be made: folder %s: %w", path, dir, err)
			}
		}
		said, err = willBeMade(path)
		return path + " " + said, err
	case err != nil:
		return "", err
	case info.IsDir() != folder && folder:
		return "", fmt.Errorf("%s is no folder", path)
	case info.IsDir() != folder:
		return "", fmt.Errorf("%s is a folder", path)
	}
	if err := writable(path); err != nil {
		return "", fmt.Errorf("%s may not be written: %w", path, err)
	}
	return path + " is there and can be written", nil
}
