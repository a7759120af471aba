package config

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// Store says where the spool is.
type Store struct {
	Driver string // "sqlite"
	Path   string // of the database, absolute
}

// String is the form it is written in.
func (s Store) String() string { return s.Driver + ":" + s.Path }

// store reads "sqlite:FILE". A relative file is in $STATE_DIRECTORY, which
// systemd sets (systemd.exec(5), StateDirectory=), or else beside the file the
// setting stands in.
func (env *environment) store(text string, e *entry) (Store, error) {
	driver, path, found := strings.Cut(text, ":")
	switch {
	case !found || driver != "sqlite" && !strings.HasPrefix(path, "//"):
		return Store{}, fmt.Errorf("wants sqlite:FILE, as in sqlite:postferry.db")
	case driver != "sqlite":
		return Store{}, fmt.Errorf("%s is not a store of this postferry; write sqlite:FILE", shorten(driver))
	case path == "":
		return Store{}, errors.New("sqlite: needs a file, as in sqlite:postferry.db")
	case strings.ContainsAny(path, "?\x00"):
		return Store{}, errors.New("the file name has a ? or a zero octet in it; settings of the database cannot be given here")
	}
	if filepath.IsAbs(path) {
		return Store{driver, filepath.Clean(path)}, nil
	}
	dir := env.dir
	if e != nil && e.value.pos.line > 0 {
		dir = filepath.Dir(e.value.pos.file)
	}
	if state, _ := env.lookup("STATE_DIRECTORY"); state != "" {
		dir, _, _ = strings.Cut(state, ":") // several are separated by colons
	}
	absolute, err := filepath.Abs(filepath.Join(dir, path))
	return Store{driver, absolute}, err
}

func checkListen(address string) error {
	if address == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not host:port, as in 127.0.0.1:8425; \"\" turns it off", shorten(address))
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is not a port number", shorten(port))
	}
	return nil
}
