package imap

import (
	"bytes"
	"context"
	"io"
	"strconv"

	"github.com/emersion/go-imap/v2"
)

// aside is a command that the guard sends and whose answers it keeps to itself,
// because imapclient does not know it, or not well enough: its own IDLE has a
// goroutine for each and does not notice when the server ends it. imapclient sees
// only the news that come meanwhile.
type aside struct {
	tag   string
	taken bool                     // the server has begun or ended it; known to the reading goroutine
	heard chan imap.StatusResponse // what the server says of the command itself
	// fetched is given the items of FETCH responses without a literal, and tells
	// whether they are its own. nil: there are none.
	fetched func(items []byte) bool
}

func newAside(tag string) *aside {
	return &aside{tag: tag, heard: make(chan imap.StatusResponse, 2)}
}

// begun is the type of what is heard when the server has taken the command.
const begun imap.StatusResponseType = "+"

// says notes the first continuation request, and the end of the command.
func (i *aside) says(kind string, rest []byte) {
	said := imap.StatusResponse{Type: imap.StatusResponseType(kind)}
	if said.Type == begun && i.taken {
		return
	}
	i.taken = true
	if code, text, ok := bytes.Cut(bytes.TrimPrefix(rest, []byte("[")), []byte("]")); ok && rest[0] == '[' {
		name, _ := word(code)
		said.Code, rest = imap.ResponseCode(name), bytes.TrimPrefix(text, []byte(" "))
	}
	said.Text = string(clip(rest))
	select {
	case i.heard <- said:
	default:
	}
}

// send begins a command aside.
func (x *session) send(command string, fetched func(items []byte) bool) (*aside, error) {
	x.asides++
	a := newAside("P" + strconv.Itoa(x.asides))
	a.fetched = fetched
	x.g.aside.Store(a)
	_, err := x.g.Write([]byte(a.tag + " " + command + "\r\n"))
	return a, err
}

// hear waits for what the server says of the command.
func (x *session) hear(a *aside) (imap.StatusResponse, error) {
	select {
	case said := <-a.heard:
		return said, nil
	case <-x.client.Closed():
		return imap.StatusResponse{}, io.ErrUnexpectedEOF
	}
}

// askAside is one whole command aside. A refusal is an *imap.Error.
func (x *session) askAside(ctx context.Context, op, command string, fetched func(items []byte) bool) error {
	return x.do(ctx, op, func() error {
		defer x.g.aside.Store(nil)
		a, err := x.send(command, fetched)
		if err != nil {
			return err
		}
		said, err := x.hear(a)
		if err == nil && said.Type != imap.StatusResponseTypeOK {
			refused := imap.Error(said)
			return &refused
		}
		return err
	})
}
