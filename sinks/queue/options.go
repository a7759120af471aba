// Package queue holds what all sinks have in common that publish to a broker: the
// keys of their configuration that do not depend on the protocol, and the making
// of a message out of a delivery, with its header and within the size the broker
// takes; where a broker is and who signs in there, for protocols whose urls name one;
// and what is said, and who is held, when a connection cannot be made. It knows the
// library of no broker.
//
// A sink embeds Options in its own, makes a Maker of them once, and calls Make for
// each attempt. What it publishes is Message.Body, under the delivery's id, by
// which a consumer recognises a duplicate.
package queue

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/sinks/payload"
)

// The values of Options.Large.
const (
	Link = "link" // attachments leave the message, which says where they are
	Dead = "dead" // a dead letter
)

// DefaultTimeout bounds the wait for a broker's confirmation.
const DefaultTimeout = 15 * time.Second

// Options are the keys that every sink to a broker has.
type Options struct {
	Headers map[string]string `config:"headers,raw" doc:"Further fields of a message's header, which may have holes: {X-Mailbox: \"{{ mailbox.name }}\"} (docs/templates.md)."`
	MaxSize config.Size       `config:"max_size" doc:"The largest message, header and body. What the broker takes unless set."`
	Large   string            `config:"large" enum:"link,dead" doc:"What becomes of a mail that makes a larger message. link: the message has its attachments as links (public_url), or with attachments: auto at least described; dead: a dead letter, as is what is too large even so."`
	Timeout time.Duration     `config:"timeout" doc:"How long the broker may take to confirm a message; one second more for each MiB."`
}

// SetDefaults sets what holds when the file says nothing.
func (o *Options) SetDefaults() { o.Large, o.Timeout = Link, DefaultTimeout }

// Validate refuses what cannot be meant, and compiles what has holes.
func (o *Options) Validate() error {
	switch {
	case o.Large != "" && o.Large != Link && o.Large != Dead:
		return config.At("large", fmt.Errorf("%q is not %s or %s", o.Large, Link, Dead))
	case o.Timeout < 0:
		return config.At("timeout", fmt.Errorf("%s is negative", o.Timeout))
	}
	for name, source := range o.Headers {
		if err := checkName(name); err != nil {
			return config.At("headers", err)
		}
		if _, err := payload.CompileText(source); err != nil {
			return config.At("headers", fmt.Errorf("%s: %w", name, err))
		}
	}
	return nil
}

// Wait is how long the confirmation of a message of that size may take.
func (o *Options) Wait(size int64) time.Duration {
	t := o.Timeout
	if t == 0 {
		t = DefaultTimeout
	}
	return t + time.Duration(size>>20)*time.Second
}

// checkName refuses names that some broker could not carry, or read otherwise: it
// takes a token of RFC 9110, section 5.6.2.
func checkName(name string) error {
	if name == "" {
		return errors.New("a header field has no name")
	}
	for _, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r) {
			return fmt.Errorf("%q is not a name for a header field: letters, digits, - and _ are", name)
		}
	}
	return nil
}
