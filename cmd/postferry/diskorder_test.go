//go:build !race

// Processes of their own are killed, cut or recorded here: the race detector would
// see nothing of them, and slow what watches them.

package main_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/powercut"
)

// deletion is a command that deletes mails, as it leaves the socket.
type deletion struct {
	at   int // the moment of the record
	uids []string
	line string
}

func TestNoDeletionLeavesTheSocketBeforeTheRecordOfDeliveryIsOnTheDisk(t *testing.T) {
	mails := 30
	if soaking() {
		mails = 300
	}
	for _, scheme := range []string{"pop3", "imap"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			w.fill(mailtest.Mix(mails, 71))
			w.mailbox(scheme, "after: delete", "insecure: true")
			disk := t.TempDir()
			l, err := powercut.Record(t.Context(), disk, nil, w.binary, "run", "--once", "--config", w.config, "--store", "sqlite:"+filepath.Join(disk, "postferry.db"))
			if err != nil {
				t.Fatal(err)
			}
			w.exactlyOnce(mails)
			if left := w.dovecot.Count(t, ada, "INBOX"); left != 0 {
				t.Fatalf("%d mails left on the server", left)
			}

			whole := durable(t, l, l.Len())
			deletions := deletionsOf(t, l, scheme, byUID(whole))
			deleted := map[string]bool{}
			early := 0
			for _, d := range deletions {
				for _, uid := range d.uids {
					deleted[uid] = true
				}
				for _, uid := range undelivered(t, l, d.at, d.uids) {
					early++
					t.Errorf("%s left the socket before the delivery of %s was on the disk", d.line, uid)
				}
			}
			if len(deleted) != mails {
				t.Fatalf("the record deletes %d mails of %d", len(deleted), mails)
			}
			t.Logf("%d mails in %d commands, %d deleted before their record was on the disk", len(deleted), len(deletions), early)

			// Had the first of them left before the sync that made its record durable
			// returned, it were found: what is on the disk only grows.
			first := deletions[0]
			from, to := 0, first.at
			for from < to {
				if mid := (from + to) / 2; len(undelivered(t, l, mid, first.uids)) == 0 {
					to = mid
				} else {
					from = mid + 1
				}
			}
			if !l.SyncedBy(from) {
				t.Errorf("the record of delivery became durable at %d, where no sync returned", from)
			}
			if len(undelivered(t, l, from-1, first.uids)) == 0 {
				t.Errorf("a deletion at %d, before the sync returned, would not be found", from-1)
			}
		})
	}
}

// soaking tells that everything is to be gone through, not a sample of it: the
// long run of `make soak` sets POSTFERRY_SOAK.
func soaking() bool { return os.Getenv("POSTFERRY_SOAK") != "" }

// undelivered are those of the mails that a disk which holds nothing but what was
// synced before the moment does not know to be delivered.
func undelivered(t *testing.T, l *powercut.Log, at int, uids []string) []string {
	t.Helper()
	known := durable(t, l, at)
	return slices.DeleteFunc(slices.Clone(uids), func(uid string) bool { return known[uid] })
}

// durable are the mails in the store as it was synced at a moment, by UID, and
// whether each is recorded as delivered.
func durable(t *testing.T, l *powercut.Log, at int) map[string]bool {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Durable(at, dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "postferry.db")
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil // not there yet
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var tables int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name IN ('items', 'deliveries')").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	if tables < 2 {
		return known
	}
	const delivered = 2
	rows, err := db.Query(`SELECT uid, EXISTS (SELECT 1 FROM deliveries d WHERE d.item = i.id)
		AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.item = i.id AND d.state <> ?) FROM items i`, delivered)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var uid string
		var ended bool
		if err := rows.Scan(&uid, &ended); err != nil {
			t.Fatal(err)
		}
		known[uid] = ended
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return known
}

// byUID are the UIDs in the order the server numbers the mails in: Dovecot's UIDLs
// are the IMAP UID in hexadecimal, of a fixed width.
func byUID(known map[string]bool) []string {
	uids := make([]string, 0, len(known))
	for uid := range known {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	return uids
}

var (
	dele = regexp.MustCompile(`^DELE ([0-9]+)$`)
	flag = regexp.MustCompile(`^\S+ UID (?:STORE ([0-9:,]+) .*\\Deleted|MOVE ([0-9:,]+) )`)
)

// deletionsOf are the commands of a record that delete mails. Until a QUIT every
// session of POP3 has the mails under the same numbers (RFC 1939, section 6).
func deletionsOf(t *testing.T, l *powercut.Log, scheme string, uids []string) []deletion {
	t.Helper()
	var all []deletion
	marked := map[string]bool{}
	for _, send := range l.Sends() {
		for line := range strings.SplitSeq(string(send.Data), "\r\n") {
			d := deletion{at: send.At, line: line}
			if line == "QUIT" {
				uids = slices.DeleteFunc(slices.Clone(uids), func(uid string) bool { return marked[uid] })
			}
			if m := dele.FindStringSubmatch(line); m != nil && scheme == "pop3" {
				n, err := strconv.Atoi(m[1])
				if err != nil || n < 1 || n > len(uids) {
					t.Fatalf("%s, of %d mails", line, len(uids))
				}
				d.uids = []string{uids[n-1]}
			}
			if m := flag.FindStringSubmatch(line); m != nil && scheme == "imap" {
				validity, _, _ := strings.Cut(uids[0], "/")
				for n := range numbers(t, m[1]+m[2]) {
					d.uids = append(d.uids, fmt.Sprintf("%s/%d", validity, n))
				}
			}
			if d.uids == nil {
				continue
			}
			for _, uid := range d.uids {
				marked[uid] = true
			}
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		t.Fatal("the record has no deletion")
	}
	return all
}

// numbers are those of a sequence set of IMAP.
func numbers(t *testing.T, set string) map[int]bool {
	t.Helper()
	all := map[int]bool{}
	for part := range strings.SplitSeq(set, ",") {
		first, last, ok := strings.Cut(part, ":")
		if !ok {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, also := strconv.Atoi(last)
		if err != nil || also != nil || from > to {
			t.Fatalf("sequence set %q", set)
		}
		for n := from; n <= to; n++ {
			all[n] = true
		}
	}
	return all
}
