// Package postferry_test holds the tests of the repository as a whole: who may
// import whom, and that what the documentation shows is true.
package postferry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/postferry/postferry/"

// rooms is the table of the house: a folder (with everything below it, unless a
// longer row names that) and the folders it may import. A row that ends in /* is for the kinds below a room.
// Test packages may import anything.
var rooms = []struct {
	folder string
	may    []string
}{
	{"cmd/postferry", []string{"*"}},
	{"admin", []string{"spool", "config", "leaves"}},
	{"fetcher", []string{"spool", "leaves"}},
	{"fetcher/*", []string{"fetcher", "spool", "config", "leaves"}},
	{"sinks", []string{"spool", "parser", "leaves"}},
	{"sinks/payload", []string{"sinks", "parser", "blob", "leaves"}},
	{"sinks/smtp", []string{"sinks", "sinks/payload", "sinks/smtp/submit", "sinks/smtp/compose", "spool", "parser", "blob", "config", "leaves"}},
	{"sinks/smtp/submit", []string{"leaves"}},
	{"sinks/smtp/compose", []string{"sinks", "sinks/payload", "sinks/smtp/submit", "spool", "parser", "config", "leaves"}},
	{"sinks/queue", []string{"sinks", "sinks/payload", "parser", "config", "leaves"}},
	{"sinks/*", []string{"sinks", "sinks/payload", "sinks/queue", "spool", "parser", "blob", "config", "leaves"}},
	{"spool", []string{"leaves"}},
	{"spool/*", []string{"spool", "leaves"}},
	{"parser", []string{"leaves"}},
	{"blob", []string{"leaves"}},
	{"config", []string{"internal/secret"}},
	{"internal/demo", []string{"leaves"}},
	{"internal/mailtest", []string{"*"}},
	{"internal/*", []string{"leaves"}},
	{"examples", nil},
}

// leaves are the packages below internal that any room may use.
var leaves = []string{"secret", "dial", "sasl", "oauth", "expr", "backoff", "clock", "failpoint", "localca", "link"}

// testOnly are never imported by what is shipped.
var testOnly = []string{"internal/mailtest", "fetcher/sourcetest", "sinks/sinktest", "spool/spooltest"}

func TestRoomsImportOnlyWhomTheyMayKnow(t *testing.T) {
	list := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for dec := json.NewDecoder(bytes.NewReader(out)); ; packages++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, module)
			if ours && !allowed(from, to) {
				t.Errorf("%s imports %s, which the table of rooms does not allow", from, to)
			}
		}
	}
	if packages < 10 {
		t.Fatalf("only %d packages seen", packages)
	}
}

func TestTableRefusesWhatItShould(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"fetcher", "sinks"}, {"sinks", "fetcher"}, {"fetcher/imap", "parser"}, {"spool", "spool/sqlite"},
		{"spool/sqlite", "fetcher"}, {"parser", "spool"}, {"config", "spool"}, {"sinks/webhook", "sinks/file"},
		{"fetcher/pop3", "fetcher/imap"}, {"internal/dial", "config"}, {"sinks", "internal/mailtest"}, {"unknown", "spool"},
	} {
		if allowed(c.from, c.to) {
			t.Errorf("%s may import %s", c.from, c.to)
		}
	}
}

func allowed(from, to string) bool {
	if isTestOnly(from) {
		return true
	}
	if isTestOnly(to) {
		return false
	}
	if strings.HasPrefix(to, from+"/") && strings.HasPrefix(to, from+"/internal/") {
		return true
	}
	may, ok := rowOf(from)
	if !ok {
		return false
	}
	return slices.ContainsFunc(may, func(m string) bool {
		switch m {
		case "*":
			return true
		case "leaves":
			leaf, internal := strings.CutPrefix(to, "internal/")
			return internal && slices.Contains(leaves, leaf)
		}
		return m == to
	})
}

func isTestOnly(path string) bool {
	return slices.ContainsFunc(testOnly, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
}

// rowOf is the row for a folder: its own, else that of the kinds below its room.
func rowOf(folder string) ([]string, bool) {
	for _, r := range rooms {
		if r.folder == folder {
			return r.may, true
		}
	}
	parent, _, _ := strings.Cut(folder, "/")
	for _, r := range rooms {
		if r.folder == parent+"/*" {
			return r.may, true
		}
	}
	return nil, false
}

func TestEveryPackageBeginsWithADocComment(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{len .GoFiles}} {{.Doc}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if fields[1] == "0" {
			continue // tests alone
		}
		packages++
		if len(fields) < 3 {
			t.Errorf("%s has no doc comment", fields[0])
		}
	}
	if packages < 10 {
		t.Fatalf("only %d packages seen", packages)
	}
}
