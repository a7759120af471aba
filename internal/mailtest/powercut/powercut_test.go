package powercut

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The child does what the tests cut.
func TestMain(m *testing.M) {
	dir := os.Getenv("POWERCUT_CHILD")
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := child(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "tmp"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	must := func(_ any, err error) {
		if err != nil {
			panic(err)
		}
	}
	must(f.Write(bytes.Repeat([]byte("a"), 2000)))
	must(f.WriteAt(bytes.Repeat([]byte("b"), 10), 510))
	must(nil, f.Sync())
	fmt.Println("synced")
	must(nil, os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, "name")))
	fmt.Println("renamed")
	d, err := os.Open(dir)
	must(nil, err)
	must(nil, d.Sync())
	fmt.Println("folder synced")
	must(f.WriteAt([]byte("c"), 0))
	must(nil, f.Truncate(1000))
	fmt.Println("truncated")
	return nil
}

func record(t *testing.T) *Log {
	t.Helper()
	dir := t.TempDir()
	l, err := Record(t.Context(), dir, []string{"POWERCUT_CHILD=" + dir}, os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// after is the moment after the line was written.
func after(t *testing.T, l *Log, line string) int {
	t.Helper()
	for at := range l.Len() + 1 {
		if bytes.HasSuffix([]byte(l.Told(at)), []byte(line+"\n")) {
			return at
		}
	}
	t.Fatalf("%q was not said", line)
	return 0
}

// images are the different contents of the folder that cuts at a moment leave.
func images(t *testing.T, l *Log, at int) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for seed := range uint64(150) {
		dir := t.TempDir()
		if err := l.Cut(at, seed, dir); err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, name := range []string{"tmp", "name"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil {
				text += fmt.Sprintf("%s:%s ", name, runs(b))
			}
		}
		seen[text]++
	}
	return seen
}

// runs is "500xa 10xb": the content in short.
func runs(b []byte) (s string) {
	for len(b) > 0 {
		n := 1
		for n < len(b) && b[n] == b[0] {
			n++
		}
		s += fmt.Sprintf("%d%q", n, b[0])
		b = b[n:]
	}
	return s
}

func TestCutsLoseWhatWasNotSyncedAndNothingElse(t *testing.T) {
	l := record(t)
	whole := `510'a'10'b'1480'a'`
	for _, c := range []struct {
		line  string
		must  []string
		never []string
	}{
		{"synced", []string{"tmp:" + whole + " ", ""}, []string{"name:" + whole + " "}},
		{"renamed", []string{"tmp:" + whole + " ", "name:" + whole + " ", ""}, nil},
		{"folder synced", []string{"name:" + whole + " "}, []string{"", "tmp:" + whole + " "}},
		{"truncated", []string{"name:" + whole + " ", `name:1'c'509'a'10'b'480'a' `, `name:510'a'10'b'480'a' `}, []string{""}},
	} {
		seen := images(t, l, after(t, l, c.line))
		for _, m := range c.must {
			if seen[m] == 0 {
				t.Errorf("after %q no cut left %q, but %v", c.line, m, seen)
			}
		}
		for _, n := range c.never {
			if seen[n] != 0 {
				t.Errorf("after %q a cut left %q", c.line, n)
			}
		}
		if c.line == "folder synced" && len(seen) != 1 {
			t.Errorf("what is synced is lost: %v", seen)
		}
	}
}

func TestWritesAreTornBySectors(t *testing.T) {
	l := record(t)
	// The moment the fsync began: 2,000 octets are written, and 10 more across the
	// border of two sectors.
	at := 0
	for l.steps[at].kind != syncing {
		at++
	}
	seen := images(t, l, at)
	if len(seen) < 10 {
		t.Errorf("only %d different images: %v", len(seen), seen)
	}
	torn := false
	for text := range seen {
		torn = torn || strings.Contains(text, `2'b'`) // the second sector of the second write is lost, the first is not
	}
	if !torn {
		t.Errorf("no cut tore the write: %v", seen)
	}
}

func TestADurableImageHoldsWhatWasSyncedAndNothingElse(t *testing.T) {
	l := record(t)
	for _, c := range []struct {
		line string
		want string
	}{
		{"synced", ""}, // the folder does not have the name yet
		{"renamed", ""},
		{"folder synced", `510'a'10'b'1480'a'`},
		{"truncated", `510'a'10'b'1480'a'`},
	} {
		dir := t.TempDir()
		if err := l.Durable(after(t, l, c.line), dir); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "name"))
		if got := runs(b); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("after %q: %q, %v, want %q", c.line, got, err, c.want)
		}
	}
}
