package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/postferry/postferry/config"
)

// FuzzLoad holds the loader to three things, whatever the file: it does not
// panic; every error has a file; and what it takes, shown and loaded again, is
// the same.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/broken/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(whole))
	f.Add([]byte(rich))
	f.Add([]byte(example))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "a.yaml")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		o := environ("A=a", "B=")
		o.SkipSecrets = true // or it would run what the fuzzer writes
		r, err := load([]string{file}, o)
		if err != nil {
			all, ok := err.(config.Errors)
			if !ok || len(all) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			for _, one := range all {
				if one.File != file || one.Error() == "" {
					t.Fatalf("an error without a place: %v", one)
				}
			}
			return
		}
		var shown bytes.Buffer
		if err := r.Show(&shown); err != nil {
			t.Fatal(err)
		}
		again := filepath.Join(t.TempDir(), "b.yaml")
		if err := os.WriteFile(again, shown.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		second, err := load([]string{again}, o)
		if err != nil {
			t.Fatalf("%v\nshown as\n%s", err, shown.Bytes())
		}
		var twice bytes.Buffer
		if err := second.Show(&twice); err != nil {
			t.Fatal(err)
		}
		if bare(shown.String()) != bare(twice.String()) {
			t.Fatalf("shown as\n%s\nand then as\n%s", shown.Bytes(), twice.Bytes())
		}
	})
}
