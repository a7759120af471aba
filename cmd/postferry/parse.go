package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/spool"
)

// maxStdin is the largest mail read from standard input or a pipe, in octets.
const maxStdin = 256 << 20

// parseFlags are the flags of parse.
type parseFlags struct {
	format      string
	attachments string
	filesFrom   string
	body        string // file of a template's body
	sink        string

	attachmentsSet bool
}

func (c *cli) parseCommand() *cobra.Command {
	var f parseFlags
	cmd := &cobra.Command{
		Use:   "parse FILE...",
		Short: "Show mails as the JSON that sinks get, offline",
		Long: `Parse reads mails from files (- is standard input) and prints for each, in
order, one line: data.message of the native event, or the body in another
format with nothing set for it. A format that is not JSON gives the exact octets
of the body, raw those of the mail; one that is signed is signed with the key
` + payload.TestKey + `. A file that cannot
be read is named on standard error, the others are printed, and the exit code
is 65. No mail is refused: what had to be mended in it stands in "problems".

With --sink the mail is written as that sink of the configuration would; with
--format template and --body as a template lays it out.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && f.filesFrom == "" {
				return usageError(errors.New("parse needs a FILE, or - for standard input"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.attachmentsSet = cmd.Flags().Changed("attachments")
			return c.parse(f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "native", "how a mail is written: "+strings.Join(payload.Formats(), ", "))
	flags.StringVar(&f.attachments, "attachments", "inline", "contents of attachments: inline, auto, metadata, none, or multipart for the event as a form")
	flags.StringVar(&f.body, "body", "", "with --format template, its body: a tree of YAML or JSON in `FILE`")
	flags.StringVar(&f.sink, "sink", "", "write it as the sink `NAME` of the configuration would")
	flags.StringVar(&f.filesFrom, "files-from", "", "read the names of files from `FILE`, one a line; - is standard input")
	return cmd
}

func (c *cli) parse(f parseFlags, args []string) error {
	r, err := f.renderer(c)
	if err != nil {
		return err
	}
	if s, ok := r.Format.(payload.Signer); ok {
		s.UseTestKey()
	}
	out := bufio.NewWriterSize(c.out, 64<<10)
	p := newProgress(c, len(args))
	defer p.end()
	failed := 0
	for name, err := range c.names(f, args) {
		if err == nil {
			err = c.parseOne(out, r, name)
		}
		if errors.Is(err, errOutput) {
			return err
		}
		if err != nil {
			failed++
			if err := out.Flush(); err != nil { // or the two would mix where both go to one place
				return fmt.Errorf("%w: %w", errOutput, err)
			}
			p.clear()
			fmt.Fprintln(c.err, "postferry:", err)
		}
		p.step()
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	if failed > 0 {
		return &exitError{code: exitData, quiet: true, err: fmt.Errorf("%d files could not be read", failed)}
	}
	return nil
}

var errOutput = errors.New("writing to standard output")

// names are the files to parse: the arguments, then those of --files-from.
func (c *cli) names(f parseFlags, args []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, name := range args {
			if !yield(name, nil) {
				return
			}
		}
		if f.filesFrom == "" {
			return
		}
		list := io.NopCloser(c.in)
		if f.filesFrom != "-" {
			file, err := os.Open(f.filesFrom)
			if err != nil {
				yield("", fmt.Errorf("reading the names of files: %w", err))
				return
			}
			list = file
		}
		defer list.Close()
		lines := bufio.NewScanner(list)
		for lines.Scan() {
			if lines.Text() != "" && !yield(lines.Text(), nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield("", fmt.Errorf("reading the names of files: %w", err))
		}
	}
}

// parseOne prints one mail.
func (c *cli) parseOne(out io.Writer, r payload.Renderer, name string) error {
	octets, err := c.readMail(name)
	if err != nil {
		return err
	}
	defer octets.Close()
	m, err := parser.Parse(octets, octets.Size(), parser.DefaultLimits())
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	body, err := renderAlone(r, m, octets)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defer body.Release()
	rd := body.Open()
	defer rd.Close()
	if _, err := io.Copy(out, rd); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	if !r.IsJSON() {
		return nil
	}
	if _, err := out.Write([]byte{'\n'}); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	return nil
}

// renderAlone renders a mail that comes from no mailbox.
func renderAlone(r payload.Renderer, m *parser.Message, octets *spool.Octets) (*payload.Body, error) {
	if (r.Format == nil || r.Format.Name() == "native") && r.Options.Attachments != payload.Multipart {
		return payload.Message(m, r.Options)
	}
	return r.Render(&sinks.Delivery{
		ID: spool.DeliveryID("", octets.SHA256(), 0, spool.To{}), Attempt: 1, Timestamp: time.Now().UTC().Truncate(time.Second),
		Message: m, Octets: octets,
	})
}

// readMail opens a mail: a file where it lies, standard input or a pipe in
// memory.
func (c *cli) readMail(name string) (*spool.Octets, error) {
	if name == "-" {
		return readStream(c.in, "standard input")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading the mail: %w", err)
	}
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		defer f.Close()
		return readStream(f, name)
	}
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("reading the mail: %w", err)
	}
	return spool.StoredOctets(size, [32]byte(hash.Sum(nil)), nil, f), nil
}

// readStream reads a mail that cannot be read twice.
func readStream(r io.Reader, name string) (*spool.Octets, error) {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(r, maxStdin+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", name, err)
	case n > maxStdin:
		return nil, fmt.Errorf("%s is larger than %d MiB; give the mail as a file", name, maxStdin>>20)
	}
	return spool.NewOctets(slices.Clip(b.Bytes())), nil
}
