// Package peer is what the programs that postferry is measured against have in
// common: flags, the connection and the result. See seqloop and relay.
package peer

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Work says what a peer is to do.
type Work struct {
	Address  string // host:port of an IMAP server
	User     string
	Password string
	TLS      bool   // TLS from the first octet, the certificate not verified; else plain text
	Webhook  string // where each mail is posted
	Count    int    // how many mails at the most; 0 is all
}

// Parse reads a program's arguments.
func Parse(args []string) (Work, error) {
	var w Work
	f := flag.NewFlagSet("peer", flag.ContinueOnError)
	f.StringVar(&w.Address, "address", "", "host:port of the IMAP server")
	f.StringVar(&w.User, "user", "", "user")
	f.StringVar(&w.Password, "password", "", "password")
	f.BoolVar(&w.TLS, "tls", false, "TLS from the first octet, without verification; else plain text")
	f.StringVar(&w.Webhook, "webhook", "", "URL that each mail is posted to")
	f.IntVar(&w.Count, "count", 0, "how many mails at the most; 0 is all")
	if err := f.Parse(args); err != nil {
		return w, err
	}
	if w.Address == "" || w.User == "" || w.Webhook == "" || w.Count < 0 || f.NArg() > 0 {
		return w, errors.New("-address, -user and -webhook are needed, -count is not negative, and nothing follows the flags")
	}
	return w, nil
}

// Open signs in, selects INBOX and gives the UIDs of the mails to work on.
func (w Work) Open() (*imapclient.Client, []imap.UID, error) {
	dial, options := imapclient.DialInsecure, &imapclient.Options{}
	if w.TLS {
		dial, options.TLSConfig = imapclient.DialTLS, &tls.Config{InsecureSkipVerify: true}
	}
	c, err := dial(w.Address, options)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to %s: %w", w.Address, err)
	}
	uids, err := w.list(c)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, uids, nil
}

func (w Work) list(c *imapclient.Client) ([]imap.UID, error) {
	if err := c.Login(w.User, w.Password).Wait(); err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return nil, fmt.Errorf("select INBOX: %w", err)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	uids := found.AllUIDs()
	if w.Count > 0 && len(uids) > w.Count {
		uids = uids[:w.Count]
	}
	return uids, nil
}

// Result is the line a peer prints when it has ended.
type Result struct {
	Mails      int     `json:"mails"`
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpuSeconds"` // user and system
	VmHWM      int64   `json:"vmHWM"`      // the most memory resident, in kB; 0 where /proc does not tell
}

// Run times work and writes its Result. The exit code is 0 if it had no error.
func Run(args []string, out, errs io.Writer, work func(Work) (mails int, err error)) int {
	w, err := Parse(args)
	if err != nil {
		fmt.Fprintln(errs, err)
		return 64
	}
	began := time.Now()
	mails, err := work(w)
	r := Result{Mails: mails, Seconds: time.Since(began).Seconds(), VmHWM: highWater()}
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		r.CPUSeconds = time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	}
	if err := json.NewEncoder(out).Encode(r); err != nil {
		fmt.Fprintln(errs, err)
		return 1
	}
	if err != nil {
		fmt.Fprintln(errs, err)
		return 1
	}
	return 0
}

// highWater is VmHWM of this process, in kB (proc_pid_status(5)).
func highWater() int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			var kb int64
			fmt.Sscan(rest, &kb)
			return kb
		}
	}
	return 0
}
