package pop3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/postferry/postferry/fetcher"
)

// UIDs that are no unique-ids begin with a tilde: oddMark before the hash of a
// unique-id that RFC 1939 does not allow, headerMark before that of a header.
const (
	oddMark    = "~u"
	headerMark = "~h"
)

// byHeaders is the Cursor of a maildrop whose unique-ids do not tell its mails
// apart. It stays so: a mail keeps its name when the one it shared a unique-id with
// has gone.
const byHeaders fetcher.Cursor = "headers"

// maxUnique is the length of a unique-id (RFC 1939 section 7).
const maxUnique = 70

// uidOf is the name of a mail with this unique-id: the id itself if it has 1 to 70
// characters from 0x21 to 0x7E as RFC 1939 section 7 wants, else its hash.
func uidOf(raw string) string {
	odd := func(r rune) bool { return r < 0x21 || r > 0x7e }
	if len(raw) <= maxUnique && raw[0] != '~' && !strings.ContainsFunc(raw, odd) {
		return raw
	}
	sum := sha256.Sum256([]byte(raw))
	return oddMark + base64.RawURLEncoding.EncodeToString(sum[:])
}

// nameByHeaders lists the mails by hashes of size and header, which TOP gives.
// Mails that are alike in both are numbered. Unique-ids that one mail alone has
// still lead to it, for settlements from before.
func (x *session) nameByHeaders(ctx context.Context, mails []mail, shared bool) error {
	if x.offers.named && !x.offers.has("TOP") {
		return &fetcher.Error{
			Radius: fetcher.AccountRadius, Cause: fetcher.Protocol, Op: listing, Hint: "use IMAP if the server has it",
			Err: errors.New("the server neither tells its mails apart (UIDL) nor shows their headers (TOP)"),
		}
	}
	x.src.once.Do(func() {
		why := "the server gives no unique-ids"
		if shared && mails[0].uid != "" {
			why = "mails of the server share unique-ids"
		}
		x.src.o.Logger.Warn("mails are told apart by their headers, which takes longer: "+why, "server", x.src.o.Server.Address())
	})
	x.order = x.order[:0]
	err := x.burst(ctx, listing, len(mails), func(i int) string { return "TOP " + strconv.Itoa(mails[i].num) + " 0" }, func(i int) error {
		sum, err := x.top(mails[i].size)
		if err != nil {
			return err
		}
		base := headerMark + base64.RawURLEncoding.EncodeToString(sum)
		uid := base
		for n := 2; ; n++ {
			if _, taken := x.numbers[uid]; !taken {
				break
			}
			uid = base + "." + strconv.Itoa(n)
		}
		x.name(uid, mails[i])
		x.order = append(x.order, uid)
		return nil
	})
	if err != nil {
		x.numbers = nil // half a listing is none
	}
	return err
}

// top reads the reply to one TOP (RFC 1939 section 7) and hashes the header.
func (x *session) top(size int64) ([]byte, error) {
	if err := x.g.reply(); err != nil {
		return nil, err
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%d\r\n", size)
	b := newBody(x.g.r, maxHeader, nil)
	hashHeader(hash, bufio.NewReader(b))
	if _, err := io.Copy(io.Discard, b); err != nil {
		return nil, err
	}
	return hash.Sum(nil), nil
}

// maxHeader bounds what a server may send in reply to TOP.
const maxHeader = 16 << 20

// changing are the fields that servers add to or change in mails that are there.
var changing = []string{
	"status", "x-status", "x-uid", "x-uidl", "x-keywords", "x-imap", "x-imapbase", "x-mozilla-status", "x-mozilla-status2", "content-length", "lines",
}

// hashHeader hashes a header without the fields that change. Its error shows when
// the rest is read.
func hashHeader(hash io.Writer, r *bufio.Reader) {
	skip, start := false, true
	for {
		line, err := r.ReadSlice('\n')
		begins := start
		start = err == nil // else the line goes on
		if begins {
			if len(bytes.TrimRight(line, "\r\n")) == 0 {
				return
			}
			if line[0] != ' ' && line[0] != '\t' {
				name, _, _ := bytes.Cut(line, []byte(":"))
				skip = slices.Contains(changing, strings.ToLower(string(bytes.TrimSpace(name))))
			}
		}
		if !skip {
			hash.Write(line)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}
