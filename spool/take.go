package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
)

// scratch is where mail is read before its size is known.
var scratch = sync.Pool{New: func() any { b := make([]byte, InRow+1); return &b }}

// Stage implements API.
func (s *Spool) Stage(ctx context.Context, r interface{ Read([]byte) (int, error) }) (*Octets, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	s.pace(ctx)
	in := &limited{ctx: ctx, r: r, left: s.largest, limit: s.largest, hash: sha256.New()}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	n, err := io.ReadFull(in, *buf)
	switch {
	case err == nil:
		return s.stageFile(in, (*buf)[:n])
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && in.err == io.EOF:
		return in.octets(bytes.Clone((*buf)[:n]), nil), nil
	case in.err != nil:
		err = in.err
	}
	return nil, fmt.Errorf("read a mail: %w", err)
}

// stageFile writes what was read, and the rest, to a file beside the store.
func (s *Spool) stageFile(in *limited, head []byte) (*Octets, error) {
	w, err := s.store.Stage()
	if err != nil {
		return nil, fmt.Errorf("stage a large mail: %w", err)
	}
	defer w.Close()
	if _, err := w.Write(head); err != nil {
		return nil, fmt.Errorf("stage a large mail: %w", err)
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{in}, *buf); err != nil {
		s.failed(err)
		return nil, fmt.Errorf("stage a large mail: %w", err)
	}
	f, err := w.Sync()
	if err != nil {
		s.failed(err)
		return nil, fmt.Errorf("stage a large mail: %w", err)
	}
	return in.octets(nil, f), nil
}

// limited hashes and counts what is read, up to a limit, while ctx lasts.
type limited struct {
	ctx   context.Context
	r     interface{ Read([]byte) (int, error) }
	left  int64
	limit int64
	hash  hash.Hash
	err   error // what reading ended with
}

func (l *limited) Read(p []byte) (int, error) {
	if l.err = l.ctx.Err(); l.err != nil {
		return 0, l.err
	}
	n, err := l.r.Read(p)
	l.hash.Write(p[:n])
	if l.left -= int64(n); l.left < 0 {
		err = fmt.Errorf("%w: more than %d octets", ErrLarge, l.limit)
	}
	l.err = err
	return n, err
}

func (l *limited) octets(mem []byte, f File) *Octets {
	return StoredOctets(l.limit-l.left, [32]byte(l.hash.Sum(nil)), mem, f)
}

// Take implements API.
func (s *Spool) Take(ctx context.Context, m Taken) (ID, error) { return s.Begin(ctx, m)() }

// Begin implements API.
func (s *Spool) Begin(ctx context.Context, m Taken) (wait func() (ID, error)) {
	refused := func(err error) func() (ID, error) {
		_ = m.Octets.Close()
		return func() (ID, error) { return 0, err }
	}
	if err := s.enter(ctx); err != nil {
		return refused(err)
	}
	if err := s.admit(m.Mailbox, m.Octets.Size()); err != nil {
		s.calls.Done()
		return refused(fmt.Errorf("take a mail: %w", err))
	}
	m.ReceivedAt = stamp(m.ReceivedAt)
	if len(m.Flags) == 0 {
		m.Flags = nil
	}
	op := &TakeOp{Taken: m, Head: headOf(m.Octets), At: s.now()}
	sent := s.send(op, int64(len(m.Octets.Bytes())), func() { s.taken(op) })
	return func() (ID, error) {
		defer s.calls.Done()
		if err := s.await(ctx, sent); err != nil {
			_ = m.Octets.Close() // the error that matters is the commit's
			return 0, fmt.Errorf("take a mail: %w", err)
		}
		return op.ID, nil
	}
}

// taken brings memory up to date after the mail became durable. Needs mu.
func (s *Spool) taken(op *TakeOp) {
	s.owe(op.Settle)
	if op.Known {
		_ = op.Octets.Close() // they are in the store already
		return
	}
	if len(op.Made) > 0 {
		_ = op.Octets.Close() // the store has them
		s.ready(op.Made)
		return
	}
	s.offer(&Item{
		ID: op.ID, Mailbox: op.Mailbox, Protocol: op.Protocol, BoxKey: op.BoxKey, UID: op.UID,
		ReceivedAt: op.ReceivedAt, TakenAt: op.At, Flags: op.Flags,
		SHA256: op.Octets.SHA256(), Ordinal: op.Ordinal, Octets: op.Octets,
	})
}
