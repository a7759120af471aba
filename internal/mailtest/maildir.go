package mailtest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// mailSeq numbers every mail appended by this process, so that names sort in
// the order of appending, and with them the UIDs Dovecot gives.
var mailSeq atomic.Uint64

// Append puts a mail into a folder as a delivery agent would, by a file in the
// Maildir, and returns once Dovecot can see it. A bare LF becomes CRLF, as in
// every server; nothing else is changed. The folder is made if it is not
// there. UIDs follow the order of appending.
func (d *Dovecot) Append(t testing.TB, user, folder string, raw []byte) {
	t.Helper()
	d.AppendAt(t, user, folder, time.Time{}, raw)
}

// AppendAt is Append with the time the server will give as INTERNALDATE; a
// zero time is now.
func (d *Dovecot) AppendAt(t testing.TB, user, folder string, at time.Time, raw []byte) {
	t.Helper()
	dir := d.CreateFolder(t, user, folder)
	raw = CRLF(raw)
	// S and W are the size on disk and with CRLF: Dovecot then need not look.
	name := fmt.Sprintf("1600000000.M%012dP%d.loopback,S=%d,W=%d", mailSeq.Add(1), os.Getpid(), len(raw), len(raw))
	tmp := filepath.Join(dir, "tmp", name)
	err := os.WriteFile(tmp, raw, 0o644)
	if err == nil && os.Getuid() == 0 {
		err = os.Chown(tmp, d.owner.uid, d.owner.gid)
	}
	if err == nil && !at.IsZero() {
		err = os.Chtimes(tmp, at, at)
	}
	if err == nil {
		err = os.Rename(tmp, filepath.Join(dir, "new", name))
	}
	if err != nil {
		t.Fatalf("append to %s of %s: %v", folder, user, err)
	}
}

// CreateFolder makes a folder if it is not there and returns its directory.
// Levels are separated by a dot ("Work.Reports").
func (d *Dovecot) CreateFolder(t testing.TB, user, folder string) string {
	t.Helper()
	home := d.path("mail", user)
	dir := d.folderDir(user, folder)
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		return dir
	}
	for _, p := range []string{home, dir, filepath.Join(dir, "cur"), filepath.Join(dir, "tmp"), filepath.Join(dir, "new")} {
		err := os.Mkdir(p, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil && os.Getuid() == 0 {
			err = os.Chown(p, d.owner.uid, d.owner.gid)
		}
		if err != nil {
			t.Fatalf("create folder %s of %s: %v", folder, user, err)
		}
	}
	return dir
}

func (d *Dovecot) folderDir(user, folder string) string {
	if strings.EqualFold(folder, "INBOX") {
		return d.path("mail", user)
	}
	return d.path("mail", user, "."+folder)
}

// ResetUIDs makes the folder forget its UIDs, as a restored or moved mailbox
// does: the next session sees another UIDVALIDITY and new UIDs, and over POP3
// all unique-ids are new.
func (d *Dovecot) ResetUIDs(t testing.TB, user, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(d.folderDir(user, folder), "dovecot*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		// dovecot-keywords gives the letters in file names their meaning;
		// dovecot-uidvalidity* remembers the last value, so that the next differs.
		if name := filepath.Base(f); name == "dovecot-keywords" || strings.HasPrefix(name, "dovecot-uidvalidity") {
			continue
		}
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("reset the UIDs of %s of %s: %v", folder, user, err)
		}
	}
}

// Count is the number of mails in a folder; zero if there is no such folder.
func (d *Dovecot) Count(t testing.TB, user, folder string) int {
	t.Helper()
	return len(d.files(t, user, folder))
}

// Stored is every mail of a folder, in the order of UIDs, octet for octet what
// IMAP's BODY[] gives: Dovecot replaces NUL, which IMAP cannot carry, by 0x80. A
// mail that is removed meanwhile may be left out: a session whose client was
// killed goes on for a moment.
func (d *Dovecot) Stored(t testing.TB, user, folder string) [][]byte {
	t.Helper()
	var mails [][]byte
	for _, f := range d.files(t, user, folder) {
		if raw, there := d.read(t, user, folder, f.path); there {
			mails = append(mails, raw)
		}
	}
	return mails
}

// Flags are the flags and keywords of every mail of a folder, sorted, by the
// sha256 of its octets. Of several equal mails one is told.
func (d *Dovecot) Flags(t testing.TB, user, folder string) map[[sha256.Size]byte][]string {
	t.Helper()
	keywords := d.keywords(t, user, folder)
	flags := map[[sha256.Size]byte][]string{}
	for _, f := range d.files(t, user, folder) {
		set := []string{}
		for _, c := range f.letters {
			if name, ok := systemFlags[c]; ok {
				set = append(set, name)
			} else if name, ok := keywords[c]; ok {
				set = append(set, name)
			}
		}
		slices.Sort(set)
		if raw, there := d.read(t, user, folder, f.path); there {
			flags[sha256.Sum256(raw)] = set
		}
	}
	return flags
}

// systemFlags are the letters in a Maildir file name.
var systemFlags = map[rune]string{'D': `\Draft`, 'F': `\Flagged`, 'R': `\Answered`, 'S': `\Seen`, 'T': `\Deleted`}

// keywords reads dovecot-keywords: "0 $Ferried" is what the letter a stands for.
func (d *Dovecot) keywords(t testing.TB, user, folder string) map[rune]string {
	t.Helper()
	names := map[rune]string{}
	text, err := os.ReadFile(filepath.Join(d.folderDir(user, folder), "dovecot-keywords"))
	if errors.Is(err, fs.ErrNotExist) {
		return names
	}
	if err != nil {
		t.Fatalf("read the keywords of %s of %s: %v", folder, user, err)
	}
	for line := range strings.Lines(string(text)) {
		var n int
		var name string
		if _, err := fmt.Sscan(line, &n, &name); err == nil {
			names['a'+rune(n)] = name
		}
	}
	return names
}

// mailFile is one mail on disk.
type mailFile struct {
	path    string
	key     string // the name without flags, which stays
	letters string
	uid     uint64 // 0: not seen by Dovecot yet
}

// files lists a folder in the order of UIDs, the mails Dovecot has not seen yet
// last, in the order it will see them.
func (d *Dovecot) files(t testing.TB, user, folder string) []mailFile {
	t.Helper()
	dir := d.folderDir(user, folder)
	uids := uidList(t, filepath.Join(dir, "dovecot-uidlist"))
	found := map[string]mailFile{}
	// new before cur: a mail that moves between the two readings is seen twice, not never.
	for _, sub := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("list %s of %s: %v", folder, user, err)
		}
		for _, e := range entries {
			key, info, _ := strings.Cut(e.Name(), ":")
			_, letters, _ := strings.Cut(info, ",")
			found[key] = mailFile{filepath.Join(dir, sub, e.Name()), key, letters, uids[key]}
		}
	}
	files := make([]mailFile, 0, len(found))
	for _, f := range found {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b mailFile) int {
		if a.uid != b.uid {
			if a.uid-1 < b.uid-1 { // 0 wraps round to the end
				return -1
			}
			return 1
		}
		return strings.Compare(a.key, b.key)
	})
	return files
}

// uidList reads dovecot-uidlist: after a header line, "UID extensions :name",
// the name without flags.
func uidList(t testing.TB, path string) map[string]uint64 {
	t.Helper()
	uids := map[string]uint64{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return uids
	}
	if err != nil {
		t.Fatalf("read the uidlist: %v", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		head, name, ok := strings.Cut(lines.Text(), " :")
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(head, " ")
		if uid, err := strconv.ParseUint(number, 10, 32); err == nil {
			name, _, _ = strings.Cut(name, ":")
			uids[name] = uid
		}
	}
	return uids
}

// read gives the octets as IMAP serves them, and whether the mail is still there.
// A file renamed meanwhile, because its flags changed, is looked for under its new
// name.
func (d *Dovecot) read(t testing.TB, user, folder, path string) ([]byte, bool) {
	t.Helper()
	raw, err := os.ReadFile(path)
	for errors.Is(err, fs.ErrNotExist) {
		key, _, _ := strings.Cut(filepath.Base(path), ":")
		files := d.files(t, user, folder)
		i := slices.IndexFunc(files, func(f mailFile) bool { return f.key == key })
		if i < 0 {
			return nil, false
		}
		raw, err = os.ReadFile(files[i].path)
	}
	if err != nil {
		t.Fatalf("read a mail of %s of %s: %v", folder, user, err)
	}
	return bytes.ReplaceAll(CRLF(raw), []byte{0}, []byte{0x80}), true
}

// CRLF turns every bare LF into CRLF; without one, raw itself is returned.
func CRLF(raw []byte) []byte {
	bare := 0
	for i, c := range raw {
		if c == '\n' && (i == 0 || raw[i-1] != '\r') {
			bare++
		}
	}
	if bare == 0 {
		return raw
	}
	out := make([]byte, 0, len(raw)+bare)
	for i, c := range raw {
		if c == '\n' && (i == 0 || raw[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, c)
	}
	return out
}
