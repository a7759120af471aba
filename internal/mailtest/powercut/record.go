package powercut

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// calls are those that change files or make changes durable.
const calls = "trace=open,openat,creat,write,pwrite64,writev,pwritev,truncate,ftruncate,fallocate,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,sync_file_range"

// Record runs a program that works below root, an empty folder, and returns the
// record of it. The program has to end by itself, with success.
func Record(ctx context.Context, root string, env []string, name string, args ...string) (*Log, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	out, err := os.CreateTemp("", "powercut-*.strace")
	if err != nil {
		return nil, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	// -y: what each descriptor is; -xx: every octet in hexadecimal; -s: all of them.
	strace := append([]string{"-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", "67108864", "-e", calls, "-e", "signal=none", "-o", out.Name(), name}, args...)
	cmd := exec.CommandContext(ctx, "strace", strace...)
	cmd.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("record %s (strace is in the Debian package of that name): %w: %s", name, err, said.Bytes())
	}
	return parse(root, out)
}
