package postferry_test

import (
	"encoding/json"
	"io/fs"
	"os/exec"
	"path/filepath"
	"testing"
)

// modFile is what `go mod edit -json` says of a go.mod.
type modFile struct {
	Go      string
	Require []struct{ Path, Version string }
	Replace []struct {
		Old struct{ Path string }
		New struct{ Path string }
	}
}

func readModule(t *testing.T, file string) (m modFile) {
	t.Helper()
	out, err := exec.Command("go", "mod", "edit", "-json", file).Output()
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return m
}

// What a module within this one measures and tests is the program as it is shipped:
// with the same dependencies, made by the same Go. Where main has followed a
// dependency and a module within has not, `go mod tidy` in its folder does.
func TestModulesWithinHaveTheVersionsOfTheMainModule(t *testing.T) {
	main := readModule(t, "go.mod")
	versions := map[string]string{}
	for _, r := range main.Require {
		versions[r.Path] = r.Version
	}
	within := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "go.mod" || path == "go.mod" {
			return err
		}
		within++
		side := readModule(t, path)
		if side.Go != main.Go {
			t.Errorf("%s says go %s, and the main module go %s", path, side.Go, main.Go)
		}
		for _, r := range side.Require {
			if want, ours := versions[r.Path]; ours && r.Version != want {
				t.Errorf("%s requires %s %s, and the main module %s", path, r.Path, r.Version, want)
			}
			up, _ := filepath.Rel(filepath.Dir(path), ".") // both are relative
			if r.Path+"/" == module && (len(side.Replace) != 1 || side.Replace[0].Old.Path != r.Path || side.Replace[0].New.Path != filepath.ToSlash(up)) {
				t.Errorf("%s does not use this tree: replace %s by %s in it", path, r.Path, up)
			}
		}
		return nil
	})
	if err != nil || within < 3 {
		t.Errorf("%d modules within were found, error %v", within, err)
	}
}
