package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Server is where a protocol is spoken.
type Server struct {
	Scheme string // imaps, imap, pop3s, pop3, smtps, smtp: lower case
	Host   string // name or address, without brackets
	Port   int    // 0: the scheme's own
}

// Address is host:port, with the given port where the URL has none.
func (s Server) Address(port int) string {
	if s.Port != 0 {
		port = s.Port
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(port))
}

// ParseServer reads scheme://host or scheme://host:port. Anything more, a user
// name or a path, is an error that says where it belongs. Errors do not repeat
// the text, in which someone may have put a password.
func ParseServer(text string) (Server, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" && u.User == nil {
		return Server{}, errors.New("not a server: write it as imaps://imap.example.com or pop3s://pop.example.com:995")
	}
	switch {
	case u.User != nil:
		return Server{}, errors.New("name and password do not belong here; write them under username and password")
	case u.Opaque != "" || u.Hostname() == "":
		return Server{}, fmt.Errorf("after the scheme stand two slashes and a host, as in %s://mail.example.com", u.Scheme)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return Server{}, errors.New("nothing follows the host and port; folders and options have keys of their own")
	}
	s := Server{Scheme: strings.ToLower(u.Scheme), Host: u.Hostname()}
	if u.Port() != "" {
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil || port == 0 {
			return Server{}, errors.New("the port is not between 1 and 65535")
		}
		s.Port = int(port)
	}
	return s, nil
}
