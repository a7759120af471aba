// Package demo is a small world of mail inside the process, for trying postferry
// without an account: an IMAP and a POP3 mailbox with a few mails in them, an
// SMTP server whose mail arrives in the IMAP mailbox, the webhook receiver of an
// application, and the SMTP server that postferry sends mail by. All of it listens on 127.0.0.1, lives in memory and is gone
// after Close.
//
//	w, err := demo.Start(ctx, demo.Options{Receive: func(e demo.Event) error {
//		_, err := fmt.Printf("%s\n", e.Body)
//		return err
//	}})
//	…
//	defer w.Close()
//
// The mailboxes speak TLS from the first octet (imaps, pop3s) with a certificate
// that only World.CAPEM vouches for. The SMTP server speaks plain text and
// offers no STARTTLS: many programs use it where it is offered, and then refuse
// a certificate that nobody knows. It takes every sender and recipient, and any
// user and password.
//
// Nothing grows without bound: a mail has at most 25 MiB, a mailbox 256 MiB, a
// server 64 connections, and silent clients are cut off.
package demo

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/secret"
)

// Options of a World. Ports that are 0 are chosen by the system.
type Options struct {
	IMAPPort, POP3Port, SMTPPort, HookPort int
	// Receive is called for every webhook request, one at a time. The request is
	// answered when it returns: 204, or 500 if it failed, or 401 if it was forged,
	// whatever is returned then. nil drops the events.
	Receive func(Event) error
	// Answer is the body of the answer to an event that was received; empty, or with
	// nil: none.
	Answer func(Event) []byte
	// Sent is called for every mail that came to the outgoing server, one at a time.
	// It is accepted when it returns nil. nil drops them.
	Sent func(raw []byte) error
	// Log tells, at level debug, what clients did wrong. nil discards it.
	Log *slog.Logger
}

// Account is a mailbox: where it is, and how to sign in. The password is drawn
// anew for each World.
type Account struct {
	Address  string // 127.0.0.1:port, TLS from the first octet
	User     string
	Password string
}

// World is what runs.
type World struct {
	IMAP, POP3 Account
	SMTP       string        // 127.0.0.1:port, plain text
	Outgoing   Account       // where postferry sends mail, TLS from the first octet
	HookURL    string        // http://127.0.0.1:port/mail
	HookSecret secret.Secret // "whsec_…", drawn anew for each World
	CAPEM      []byte        // the certificate authority of IMAP, POP3 and outgoing mail: what a ca_file holds

	imap  *imapServer
	gates []*gate
	smtp  []*smtpServer
	work  sync.WaitGroup
	once  sync.Once
}

// Start starts everything, with the samples in the mailboxes. ctx bounds the
// start only; Close ends what runs. It fails when a port is taken.
func Start(ctx context.Context, o Options) (*World, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Receive == nil {
		o.Receive = func(Event) error { return nil }
	}
	w := &World{
		IMAP: Account{User: "ada@example.com", Password: rand.Text()},
		POP3: Account{User: "grace@example.com", Password: rand.Text()},
		// The outgoing server asks for no particular password, either.
		Outgoing: Account{User: "support@example.com", Password: rand.Text()},
	}
	if err := w.start(ctx, o); err != nil {
		w.Close()
		return nil, fmt.Errorf("start the demo: %w", err)
	}
	return w, nil
}

func (w *World) start(ctx context.Context, o Options) error {
	ca, err := localca.New()
	if err != nil {
		return err
	}
	w.CAPEM = ca.PEM
	errorLog := slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)

	if w.imap, err = newIMAPServer(w.IMAP, ca, errorLog); err != nil {
		return err
	}
	drop := new(maildrop)
	if err := w.fill(drop); err != nil {
		return err
	}
	key := make([]byte, 32)
	rand.Read(key)
	w.HookSecret = secret.New("whsec_" + base64.StdEncoding.EncodeToString(key))
	receiver, err := newHookServer(key, o.Receive, o.Answer, errorLog)
	if err != nil {
		return err
	}
	smtp := newSMTPServer(w.imap.add, errorLog)
	var sending sync.Mutex
	outgoing := newSMTPServer(func(raw []byte, _ time.Time) error {
		sending.Lock()
		defer sending.Unlock()
		if o.Sent == nil {
			return nil
		}
		return o.Sent(raw)
	}, errorLog)
	pop3 := &pop3Server{account: w.POP3, drop: drop}

	for _, s := range []struct {
		name  string
		port  int
		said  *string
		tls   bool
		serve func(net.Listener) error
	}{
		{"IMAP", o.IMAPPort, &w.IMAP.Address, true, w.imap.serve},
		{"POP3", o.POP3Port, &w.POP3.Address, true, pop3.serve},
		{"SMTP", o.SMTPPort, &w.SMTP, false, smtp.serve},
		{"outgoing mail", 0, &w.Outgoing.Address, true, outgoing.serve},
		{"webhook", o.HookPort, &w.HookURL, false, receiver.Serve},
	} {
		g, err := listen(ctx, s.port)
		if err != nil {
			return fmt.Errorf("listen for %s: %w", s.name, err)
		}
		w.gates = append(w.gates, g)
		*s.said = g.Addr().String()
		l := net.Listener(g)
		if s.tls {
			l = tls.NewListener(g, ca.Server())
		}
		w.work.Go(func() {
			if err := s.serve(l); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
				o.Log.Debug("demo server ended", "server", s.name, "error", err)
			}
		})
	}
	w.smtp = []*smtpServer{smtp, outgoing}
	w.HookURL = "http://" + w.HookURL + hookPath
	return nil
}

// fill puts the samples where they belong.
func (w *World) fill(drop *maildrop) error {
	for _, name := range imapSamples {
		raw, at, err := sample(name)
		if err != nil {
			return err
		}
		if err := w.imap.add(raw, at); err != nil {
			return err
		}
	}
	for _, name := range pop3Samples {
		raw, _, err := sample(name)
		if err != nil {
			return err
		}
		drop.add(raw)
	}
	return nil
}

func listen(ctx context.Context, port int) (*gate, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return newGate(l), nil
}

// Close ends all servers and connections and returns when nothing of them runs
// any more. It may be called more than once.
func (w *World) Close() {
	w.once.Do(func() {
		var shut sync.WaitGroup
		for _, g := range w.gates {
			shut.Go(g.shut)
		}
		shut.Wait()
		w.work.Wait()
		for _, s := range w.smtp {
			s.wait()
		}
	})
}
