package exec

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/secret"
)

// Options are the keys of a sink of type exec, beside those every sink has.
type Options struct {
	Command []string                 `config:"command,raw,required" doc:"The program, by its whole path or a name found in PATH, and its arguments, as they are: there is no shell, and nothing of the mail is in them. The mail is on its standard input."`
	Dir     string                   `config:"dir,path" doc:"The folder it runs in; the working folder of postferry unless set."`
	Env     map[string]secret.Secret `config:"env" doc:"Further variables of its environment, which has PATH, HOME, USER, LANG, TZ and TMPDIR of postferry's own and POSTFERRY_… (docs/exec.md)."`
	Timeout time.Duration            `config:"timeout" doc:"How long it may run; then it and all it started are ended. One second more for each MiB."`
}

// DefaultTimeout bounds one run of the program.
const DefaultTimeout = time.Minute

// SetDefaults sets what holds when the file says nothing.
func (o *Options) SetDefaults() { o.Timeout = DefaultTimeout }

// Validate refuses options that cannot be meant.
func (o *Options) Validate() error {
	switch {
	case len(o.Command) == 0 || o.Command[0] == "":
		return config.At("command", errors.New("it names no program: [/usr/local/bin/ingest, --json]"))
	case strings.ContainsRune(o.Command[0], filepath.Separator) && !filepath.IsAbs(o.Command[0]):
		return config.At("command", fmt.Errorf("%q depends on where postferry was started: write the whole path", o.Command[0]))
	case o.Timeout < 0:
		return config.At("timeout", fmt.Errorf("%s is negative", o.Timeout))
	}
	for i, arg := range o.Command {
		switch {
		case strings.Contains(arg, "\x00"):
			return config.At(fmt.Sprintf("command[%d]", i), errors.New("an argument cannot have a NUL"))
		case strings.Contains(arg, "{{"):
			return config.At(fmt.Sprintf("command[%d]", i), errors.New("an argument has no holes: what the mail says is on standard input, where it can be taken for no option"))
		}
	}
	for name, value := range o.Env {
		if err := checkVariable(name); err != nil {
			return config.At("env", err)
		}
		if strings.Contains(value.Reveal(), "\x00") {
			return config.At("env", fmt.Errorf("the value of %s has a NUL", name))
		}
	}
	return nil
}

// checkVariable takes names of POSIX, section 8.1, in either case.
func checkVariable(name string) error {
	for i, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return fmt.Errorf("%q is not the name of a variable", name)
		}
	}
	switch {
	case name == "":
		return errors.New("a variable has no name")
	case strings.HasPrefix(name, prefix):
		return fmt.Errorf("%s: what begins with %s is set by postferry itself", name, prefix)
	}
	return nil
}
