package config

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/postferry/postferry/internal/secret"
)

const (
	maxSecret      = 64 << 10         // octets of a secret
	commandTime    = 10 * time.Second // a command that gives a secret has to end
	maxComplaint   = 200              // octets of standard error that are shown
	emptyComplaint = "it said nothing"
)

// secretField decodes a secret from whichever of name, name_file and
// name_command is there.
func (d *decoder) secretField(n *node, path string, v reflect.Value, f field) {
	var given []*entry
	for _, key := range f.keys() {
		e := n.find(key)
		if e == nil {
			continue
		}
		e.known = true
		if e.value.isNull() {
			e.value.decoded = true
			continue
		}
		given = append(given, e)
	}
	switch {
	case len(given) == 0 && f.required:
		d.fail(n.pos, join(path, f.name), "the key is required%s; it may also be given as %s_file or %s_command", describe(f.doc), f.name, f.name)
		return
	case len(given) == 0:
		return
	case len(given) > 1:
		d.fail(given[1].pos, given[1].path(path), "%s is given too (%s); keep one of them", given[0].key, given[0].pos)
	}
	before := len(d.errs)
	d.secretFrom(given[0], given[0].path(path), v, f)
	if v.IsZero() && len(d.errs) == before && !d.env.skipSecrets {
		d.fail(given[0].value.pos, given[0].path(path), "the secret is empty")
	}
}

func (d *decoder) secretFrom(e *entry, path string, v reflect.Value, f field) {
	n := e.value
	switch e.key {
	case f.name:
		d.value(n, path, v, f)
		return
	case f.name + "_file":
		var name string
		d.value(n, path, reflect.ValueOf(&name).Elem(), field{path: true})
		d.env.sawSecretFile(path, name)
		if name != "" && !d.env.skipSecrets {
			d.resolved(n, path, v, func() ([]byte, error) { return secretFile(name) })
		}
	default:
		var argv []string
		d.value(n, path, reflect.ValueOf(&argv).Elem(), field{raw: true})
		if len(argv) > 0 && !d.env.skipSecrets {
			dir := d.env.folder(n.pos)
			d.resolved(n, path, v, func() ([]byte, error) { return secretCommand(argv, dir) })
		}
	}
}

// resolved sets v to what get gives, less the line end editors and commands add.
func (d *decoder) resolved(n *node, path string, v reflect.Value, get func() ([]byte, error)) {
	value, err := get()
	if err != nil {
		d.add(n.pos, path, err)
		return
	}
	value = bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r"))
	n.answer = string(value)
	v.Set(reflect.ValueOf(secret.New(n.answer)))
}

func secretFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("read the secret: %s is a folder", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	defer f.Close()
	value, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	if len(value) > maxSecret {
		return nil, fmt.Errorf("read the secret: %s is larger than %d KiB", name, maxSecret>>10)
	}
	return value, nil
}

// secretCommand runs argv, without a shell and with no input, in dir, and gives
// its standard output.
func secretCommand(argv []string, dir string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	printed, err := secret.Command(ctx, argv, dir, maxSecret)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s did not end within %v", argv[0], commandTime)
	case err != nil:
		return nil, fmt.Errorf("run %s: %w; %s", argv[0], err, complaint(printed))
	case printed.Over:
		return nil, fmt.Errorf("%s wrote more than %d KiB", argv[0], maxSecret>>10)
	}
	return printed.Out, nil
}

// complaint gives what a command has complained of as one printable line, without
// what it wrote as the secret.
func complaint(p secret.Printed) string {
	said := p.Complaint
	if value := bytes.TrimSpace(p.Out); len(value) > 0 {
		said = bytes.ReplaceAll(said, value, []byte(secret.Masked))
	}
	said = said[:min(len(said), maxComplaint)]
	text := strings.TrimSpace(strings.ToValidUTF8(string(said), "?"))
	if text == "" {
		return emptyComplaint
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		text = strconv.Quote(text)
	}
	return "it said: " + text
}
