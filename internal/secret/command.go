package secret

import (
	"context"
	"errors"
	"os/exec"
	"time"
)

const (
	maxComplaint = 1 << 10 // octets of standard error that are kept
	linger       = time.Second
)

// Printed is what a command has written. None of it may be shown before Out is
// taken out of it.
type Printed struct {
	Out       []byte // standard output, up to the limit
	Over      bool   // there was more
	Complaint []byte // the beginning of standard error
}

// Command runs argv, without a shell and with no input, in the folder dir ("" is
// the working one), and keeps limit octets of what it prints. It is killed when
// ctx ends; what it left running is not waited for longer than a second. Its error
// is exec's, and holds nothing of what was printed.
func Command(ctx context.Context, argv []string, dir string, limit int) (Printed, error) {
	out, complaint := bounded{limit: limit}, bounded{limit: maxComplaint}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, &out, &complaint, linger
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return Printed{Out: out.data, Over: out.over, Complaint: complaint.data}, err
}

// bounded keeps the first octets written to it and swallows the rest.
type bounded struct {
	data  []byte
	limit int
	over  bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	room := b.limit - len(b.data)
	if len(p) > room {
		b.over = true
	}
	b.data = append(b.data, p[:min(room, len(p))]...)
	return len(p), nil
}
