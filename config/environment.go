package config

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// environment is what decoding needs besides the nodes, and what it notes for
// the warnings. One load has one, shared by its sections.
type environment struct {
	lookup      func(string) (string, bool)
	dir         string // of the first file
	skipSecrets bool
	literals    map[string][]string // file to the key paths of secrets written out in it
	files       map[string]string   // files that hold one secret, to its key path
}

// sawSecret notes a secret written out in a file.
func (env *environment) sawSecret(n *node, path string) {
	if n.override || len(n.vars) > 0 || n.text == "" {
		return
	}
	if env.literals == nil {
		env.literals = map[string][]string{}
	}
	env.literals[n.pos.file] = append(env.literals[n.pos.file], path)
}

// resolve completes a file name with the folder of the file it stands in. A
// name from a variable or flag is relative to the first file. "" and "-" stay.
func (env *environment) resolve(pos position, name string) string {
	if name == "" || name == "-" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(env.folder(pos), name)
}

// folder is that of the file at pos, or of the first file for what stands in
// none.
func (env *environment) folder(pos position) string {
	if pos.line > 0 {
		return filepath.Dir(pos.file)
	}
	return env.dir
}

// sawSecretFile notes a file that holds a secret.
func (env *environment) sawSecretFile(path, name string) {
	if name == "" || env.skipSecrets {
		return
	}
	if env.files == nil {
		env.files = map[string]string{}
	}
	env.files[name] = path
}

// handed reports the folders in which a container or systemd hands secrets to
// one service: the modes there are not the operator's.
func (env *environment) handed(name string) bool {
	credentials, _ := env.lookup("CREDENTIALS_DIRECTORY")
	for _, dir := range []string{"/run/secrets", "/var/run/secrets", credentials} {
		if rest, err := filepath.Rel(dir, name); dir != "" && err == nil && filepath.IsLocal(rest) {
			return true
		}
	}
	return false
}

// openSecrets warns of files that hold secrets in clear and that every user of
// the machine can read.
func (env *environment) openSecrets() []string {
	var warnings []string
	for file, paths := range env.literals {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm()&0o004 == 0 {
			continue
		}
		sort.Strings(paths)
		if len(paths) > 3 {
			paths = append(paths[:3:3], "…")
		}
		warnings = append(warnings, fmt.Sprintf("%s: every user of this machine can read it (mode %04o) and it holds secrets in clear (%s); run chmod 600 %s",
			file, info.Mode().Perm(), strings.Join(paths, ", "), file))
	}
	for file, path := range env.files {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm()&0o004 == 0 || env.handed(file) {
			continue
		}
		warnings = append(warnings, fmt.Sprintf("%s: every user of this machine can read it (mode %04o) and it holds a secret (%s); run chmod 600 %s",
			file, info.Mode().Perm(), path, file))
	}
	sort.Strings(warnings)
	return warnings
}
