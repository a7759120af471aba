package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// findFiles gives the files to read, one layer for each of paths: a file, or the
// *.yaml files of a folder in the order of their names. If no path is given it
// is the first there is of SearchPath.
func findFiles(paths []string, lookup func(string) (string, bool)) ([][]string, error) {
	if len(paths) == 0 {
		return search(SearchPath(lookup))
	}
	var layers [][]string
	seen := map[string]bool{}
	for _, path := range paths {
		files := []string{path}
		info, err := os.Stat(path)
		if err != nil {
			return nil, Errors{{File: path, Err: bare(err)}}
		}
		if info.IsDir() {
			if files, err = inFolder(path); err != nil {
				return nil, err
			}
		}
		files = slices.DeleteFunc(files, func(file string) bool {
			file = filepath.Clean(file)
			again := seen[file]
			seen[file] = true
			return again
		})
		if len(files) > 0 {
			layers = append(layers, files)
		}
	}
	return layers, nil
}

// SearchPath lists where the configuration is looked for when no file is named.
func SearchPath(lookup func(string) (string, bool)) []string {
	places := []string{"postferry.yaml"}
	if home, _ := lookup("XDG_CONFIG_HOME"); home != "" {
		places = append(places, filepath.Join(home, "postferry", "postferry.yaml"))
	} else if home, _ := lookup("HOME"); home != "" {
		// XDG Base Directory Specification: the default when the variable is unset.
		places = append(places, filepath.Join(home, ".config", "postferry", "postferry.yaml"))
	}
	return append(places, "/etc/postferry/postferry.yaml")
}

func search(places []string) ([][]string, error) {
	for _, place := range places {
		_, err := os.Stat(place)
		if err == nil {
			return [][]string{{place}}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, Errors{{File: place, Err: bare(err)}}
		}
	}
	return nil, Errors{{Err: fmt.Errorf("no configuration: %w of %s; `postferry init` writes one to start from, -c names another",
		errNone, strings.Join(places, ", "))}}
}

// errNone is what errors.Is finds with fs.ErrNotExist when nothing was found.
var errNone = noneOf{}

type noneOf struct{}

func (noneOf) Error() string        { return "there is none" }
func (noneOf) Is(target error) bool { return target == fs.ErrNotExist }

func inFolder(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, Errors{{File: dir, Err: bare(err)}}
	}
	var files []string
	for _, e := range entries { // sorted by name
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".yaml") && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, Errors{{File: dir, Err: errors.New("the folder holds no *.yaml file")}}
	}
	return files, nil
}

// bare takes the file name out of an error that is reported beside it.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
