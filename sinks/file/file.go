// Package file delivers mail into files.
//
// With path it appends one line of JSON for each mail (JSONL); "-" is standard
// output. With dir it makes one file for each mail, or for each attachment,
// under a name made from the delivery's id, or as key says, so that a delivery
// that is repeated writes the same file again.
//
// A delivery is acknowledged when its octets are on disk: appended lines are
// synced in groups, files are written under a temporary name, synced and
// renamed. Files are readable by their owner only (mode 0600), since mail is
// private.
package file

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

// Options are the keys of a sink of type file, beside those every sink has.
// Either path or dir is set.
type Options struct {
	Path string `config:"path,path" doc:"File to which one line of JSON is appended for each mail; - is standard output."`
	Dir  string `config:"dir,path" doc:"Directory for one file each; made if it is missing."`
	Each string `config:"each" enum:"message,attachment" doc:"With dir: what a file holds, a message unless set."`
	Key  string `config:"key,raw" doc:"With dir: the path of the file in it, with holes: {{ attachment.sha256 }}-{{ attachment.safeName }} (docs/attachments.md). The delivery's id unless set."`

	Sidecar bool `config:"sidecar" doc:"With each: attachment, beside each file the event without contents, under its name and .json."`
}

// Validate refuses options that contradict one another.
func (o Options) Validate() error {
	switch {
	case o.Path == "" && o.Dir == "":
		return errors.New("set path (one line for each mail) or dir (one file for each)")
	case o.Path != "" && o.Dir != "":
		return errors.New("path and dir exclude each other: keep one of them")
	case o.Each != "" && o.Dir == "":
		return errors.New("each needs dir")
	case o.Each != "" && o.Each != "message" && o.Each != "attachment":
		return fmt.Errorf("each %q is not message or attachment", o.Each)
	case o.Key != "" && o.Dir == "":
		return errors.New("key needs dir")
	case o.Sidecar && o.Each != "attachment":
		return errors.New("sidecar needs each: attachment")
	}
	if o.Key != "" {
		_, err := payload.CompileKey(o.Key)
		return err
	}
	return nil
}

// New makes the sink. It opens what it will write to, so that a wrong path is
// found at the start.
func New(_ string, o Options, r payload.Renderer, e sinks.Env) (sinks.Sink, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if r.NeedsHeader() && o.Each != "attachment" {
		return nil, config.At("format", errors.New("this format has a part of each event in header fields, which a file does not have: use mode: structured"))
	}
	switch {
	case o.Dir != "":
		return o.dir(r, e.Inert)
	}
	if !r.IsJSON() {
		return nil, config.At("format", fmt.Errorf("path holds lines of JSON, which this format is not (%s): use dir", r.ContentType()))
	}
	switch {
	case o.Path == "-":
		return &lines{render: r, file: os.Stdout, name: "standard output"}, nil
	case e.Inert:
		return &lines{render: r, path: o.Path, name: o.Path}, nil
	}
	return newLines(o.Path, r)
}

// Finding steps.
func found(step, said string, err error, fix string) []sinks.Finding {
	if err != nil {
		return []sinks.Finding{{Step: step, Said: err.Error(), Fix: fix}}
	}
	return []sinks.Finding{{Step: step, OK: true, Said: said}}
}

var _ interface {
	sinks.Sink
	sinks.Previewer
	sinks.Checker
} = (*lines)(nil)

var _ interface {
	sinks.Sink
	sinks.Previewer
	sinks.Checker
	sinks.Splitter
} = (*dir)(nil)

// aborted is the error of a delivery that was given up before it began.
func aborted(ctx context.Context) error {
	return fmt.Errorf("writing the mail: %w", context.Cause(ctx))
}
