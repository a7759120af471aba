package delay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	readSize = 16 << 10
	inFlight = 1024 // reads on the line at once
)

// errCut is the end of a line that was to break here.
var errCut = errors.New("the connection was cut")

// line is one direction of a connection.
type line struct {
	delay     time.Duration
	bandwidth int64 // octets per second; 0 is unlimited
	cut       int64 // octets that pass; 0 is all
}

// packet is octets that are on the line until they arrive.
type packet struct {
	octets  []byte
	arrives time.Time
}

// carry passes on what src gives, late and in order, until its end: nil. It
// fails with errCut where the line is cut, with the error of src or dst, or
// with the context's. An end or a failure of src arrives as late as octets do.
// A dst that blocks is for the caller to close. After a failure src has a read
// deadline that is over.
func (l line) carry(ctx context.Context, dst, src net.Conn) error {
	ctx, end := context.WithCancel(ctx)
	packets := make(chan packet, inFlight)
	var (
		reader sync.WaitGroup
		failed error
	)
	reader.Go(func() {
		defer close(packets)
		failed = l.read(ctx, packets, src)
	})
	err := l.write(ctx, dst, packets)
	end()
	if err == nil {
		// The packets have ended, so the reader has.
		reader.Wait()
		return failed
	}
	src.SetReadDeadline(time.Unix(1, 0)) // else the reader might wait for more
	reader.Wait()
	return err
}

// read puts what src gives onto the line, at the pace of its bandwidth.
func (l line) read(ctx context.Context, packets chan<- packet, src io.Reader) error {
	left := l.cut
	free := time.Now() // when the line can take the next octets
	buf := make([]byte, readSize)
	for {
		if l.cut > 0 {
			buf = buf[:min(int64(len(buf)), left)]
		}
		n, err := src.Read(buf)
		now := time.Now()
		if l.bandwidth > 0 {
			if free.Before(now) {
				free = now
			}
			free = free.Add(time.Duration(float64(n) / float64(l.bandwidth) * float64(time.Second)))
			if wait(ctx, free.Sub(now)) != nil {
				return ctx.Err()
			}
			now = free
		}
		left -= int64(n)
		select {
		case packets <- packet{bytes.Clone(buf[:n]), now.Add(l.delay)}: // an end is on the line too
		case <-ctx.Done():
			return ctx.Err()
		}
		switch {
		case l.cut > 0 && left == 0:
			return errCut
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// write takes off the line what has arrived.
func (l line) write(ctx context.Context, dst io.Writer, packets <-chan packet) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case p, more := <-packets:
			if !more {
				return nil
			}
			if err := wait(ctx, time.Until(p.arrives)); err != nil {
				return err
			}
			if _, err := dst.Write(p.octets); err != nil {
				return err
			}
		}
	}
}

// wait returns nil after d, or the context's error.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
