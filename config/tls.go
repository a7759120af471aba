package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// TLS says how a server is recognised and how we show who we are. Files are
// absolute or relative to the working folder, ready to be opened.
type TLS struct {
	CAFile     string   `config:"ca_file,path" doc:"certificates (PEM) to trust instead of the system's; relative to this file"`
	ServerName string   `config:"server_name" doc:"the name the certificate must have, if not the host's"`
	PinSHA256  []string `config:"pin_sha256" doc:"SHA-256 of public keys (SubjectPublicKeyInfo), in base64 or hexadecimal; that of the server's own certificate must be one of them"`
	ClientCert string   `config:"client_cert,path" doc:"our certificate (PEM); relative to this file"`
	ClientKey  string   `config:"client_key,path" doc:"the key of client_cert (PEM); relative to this file"`
	MinVersion string   `config:"min_version" enum:"1.2,1.3" doc:"the oldest TLS version spoken"`
}

// Names tells whether it says more than which versions are spoken. What it says has
// no effect in clear text, where somebody may rely on it.
func (t TLS) Names() bool {
	return t.CAFile != "" || t.ServerName != "" || len(t.PinSHA256) > 0 || t.ClientCert != "" || t.ClientKey != ""
}

// SetDefaults sets what holds when the file says nothing.
func (t *TLS) SetDefaults() { t.MinVersion = "1.2" }

// Validate checks what the single values cannot tell.
func (t *TLS) Validate() error {
	for i, pin := range t.PinSHA256 {
		if _, err := ParsePin(pin); err != nil {
			return At(fmt.Sprintf("pin_sha256[%d]", i), err)
		}
	}
	switch {
	case t.ClientCert != "" && t.ClientKey == "":
		return At("client_cert", errors.New("client_key is missing beside it"))
	case t.ClientKey != "" && t.ClientCert == "":
		return At("client_key", errors.New("client_cert is missing beside it"))
	case strings.ContainsAny(t.ServerName, "/: \r\n"):
		return At("server_name", fmt.Errorf("%q is not a host name", shorten(t.ServerName)))
	}
	return nil
}

// ParsePin reads a SHA-256 in base64 (as curl and RFC 7469 write it, "sha256//"
// before it is allowed) or in hexadecimal with or without colons.
func ParsePin(s string) ([32]byte, error) {
	var pin [32]byte
	text := strings.TrimPrefix(strings.TrimPrefix(s, "sha256//"), "sha256/")
	if b, err := hex.DecodeString(strings.ReplaceAll(text, ":", "")); err == nil && len(b) == 32 {
		copy(pin[:], b)
		return pin, nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != 32 {
		return pin, errors.New("not the base64 or hexadecimal of a SHA-256 (32 octets)")
	}
	copy(pin[:], b)
	return pin, nil
}
