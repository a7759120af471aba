package mailtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Corpus is every whole mail of parser/testdata/corpus, where its sources and
// licences are told, with bare LF turned into CRLF as a server holds it, in the
// order of paths. Equal mails occur once.
func Corpus(t testing.TB) [][]byte {
	t.Helper()
	dir := filepath.Join(ModuleRoot(t), "parser", "testdata", "corpus")
	var mails [][]byte
	seen := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if e.Name() == "LICENSES" {
				return filepath.SkipDir
			}
			return nil
		}
		if name := e.Name(); strings.HasPrefix(name, "NOTICE") || strings.HasSuffix(name, ".tnef") {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		raw = CRLF(raw)
		if len(raw) > 0 && !seen[string(raw)] {
			seen[string(raw)] = true
			mails = append(mails, raw)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("read the corpus: %v", err)
	}
	return mails
}

// ModuleRoot is the folder of go.mod above the test's working directory.
func ModuleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = up
	}
}
